"""The fold of a log, and its results, with and without interruptions."""

from __future__ import annotations

from dataclasses import replace

from engine.events import At, Event, RunResumed, RunStarted, results_of
from engine.runs.view import RunView, fold

from .fakes import began, evaluated, step, steps_after

TEACHER = evaluated((0, 0, 0), net="teacher", weights="given")


def told(start: At, *, count: int) -> list[Event]:
    """What a run of two epochs tells from a position on."""
    events: list[Event] = []
    for at in steps_after(start, 2)[:count]:
        events.append(step(at))
        if at[2] == 0:
            events.append(evaluated(at))
    return events


WHOLE: list[Event] = [RunStarted(time=1.0), TEACHER, began(2), *told((0, 0, 0), count=10)]
RESUMED: list[Event] = [
    RunStarted(time=1.0),
    TEACHER,
    began(2),
    *told((0, 0, 0), count=8),
    RunResumed(time=2.0, position=(0, 1, 0)),
    TEACHER,
    began(2),
    *told((0, 1, 0), count=5),
]


def bare(view: RunView) -> RunView:
    """Without what tells of the interruption itself."""
    return replace(view, life=(), num_events=0)


def test_a_resumed_log_folds_to_what_an_uninterrupted_one_does() -> None:
    assert bare(fold(RunView(), RESUMED)) == bare(fold(RunView(), WHOLE))


def test_a_resumed_log_has_the_results_of_an_uninterrupted_one() -> None:
    assert results_of(RESUMED) == results_of(WHOLE)


def test_a_run_that_died_after_its_last_figures_tells_them_once() -> None:
    again = [*WHOLE, RunResumed(time=2.0, position=(0, 2, 0)), began(2), WHOLE[-1]]
    assert bare(fold(RunView(), again)) == bare(fold(RunView(), WHOLE))
    assert results_of(again) == results_of(WHOLE)


def test_folding_in_parts_is_folding_at_once() -> None:
    for cut in range(len(RESUMED)):
        parts = fold(fold(RunView(), RESUMED[:cut]), RESUMED[cut:])
        assert bare(parts) == bare(fold(RunView(), RESUMED)), cut


def test_a_resumed_run_is_where_it_was_saved() -> None:
    view = fold(RunView(), RESUMED[: RESUMED.index(began(2), 3) + 1])
    view = fold(RunView(), [*WHOLE[:8], RunResumed(time=2.0, position=(0, 0, 3)), began(2)])
    assert view.at == (0, 0, 3)
    assert view.steps_done == 3
    assert view.terms["task"].at[-1] == (0, 0, 3)


def test_a_view_stays_as_it_was() -> None:
    before = fold(RunView(), WHOLE[:6])
    kept = replace(before)
    fold(before, WHOLE[6:])
    assert before == kept


def test_results_leave_out_what_was_asked_for_by_hand() -> None:
    by_hand = evaluated((0, 0, 3), by_hand=True)
    assert results_of([*WHOLE[:6], by_hand, *WHOLE[6:]]) == results_of(WHOLE)
