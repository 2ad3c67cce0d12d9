"""What a log can tell, and what two logs must agree on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from engine.events import (
    At,
    Evaluated,
    Event,
    Note,
    PhaseBegan,
    RunResumed,
    SpotsCounted,
    StepTaken,
    read_events,
    results_of,
    write_event,
)


def began(at: At) -> PhaseBegan:
    return PhaseBegan(at=at, phase="p", epochs=2, steps=3, phases=("p",), total_steps=6)


def step(at: At, loss: float = 1.0, speed: float = 5.0) -> StepTaken:
    terms, rates = {"task": loss}, {"student": 0.1}
    return StepTaken(at=at, count=1, terms=terms, rates=rates, samples_per_second=speed)


def evaluated(at: At, **changes: Any) -> Evaluated:
    plain = {"at": at, "net": "student", "weights": "last", "split": "test", "samples": 3}
    return Evaluated.model_validate({**plain, "figures": {"accuracy": 0.5}, **changes})


def test_events_come_back_as_they_were_written() -> None:
    counted = SpotsCounted(
        at=(0, 1, 0),
        spots=("a",),
        samples=(1, 2),
        kept=((1, 0),),
        routes={"1": 3},
        probability=(0.1 + 0.2,),
    )
    events: list[Event] = [began((0, 0, 0)), step((0, 0, 1), 1 / 3), counted, evaluated((0, 1, 0))]
    lines = [write_event(event) for event in events]
    assert not any(b"\n" in line for line in lines)
    assert read_events(lines) == (events, 0)


def test_what_cannot_be_read_is_skipped_and_counted() -> None:
    good = write_event(Note(text="é\nñ"))
    bad = [b"", b"{", b"[]", b'{"kind":"Comet"}', b'{"kind":"Note"}', b"\xff\xfe", good[:-2]]
    events, skipped = read_events([good, *bad, good])
    assert events == [Note(text="é\nñ")] * 2
    assert skipped == len(bad)


def test_a_field_of_a_later_version_is_passed_over() -> None:
    plain = json.loads(write_event(Note(text="hello")))
    (event,), skipped = read_events([json.dumps({**plain, "colour": "red"}).encode()])
    assert (event, skipped) == (Note(text="hello"), 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_no_event_holds_a_number_that_is_not_finite(value: float) -> None:
    with pytest.raises(ValidationError):
        step((0, 0, 1), value)
    with pytest.raises(ValidationError):
        evaluated((0, 0, 1), figures={"loss": value})
    line = write_event(step((0, 0, 1))).replace(b'"task":1.0', b'"task":NaN')
    assert read_events([line]) == ([], 1)


def test_every_kind_is_known_to_the_reader() -> None:
    from typing import get_args

    for kind in get_args(Event):
        assert kind.model_fields["kind"].default == kind.__name__
        assert kind.volatile <= set(kind.model_fields)


def test_results_leave_out_speed_and_what_is_no_result() -> None:
    fast, slow = ([began((0, 0, 0)), step((0, 0, 1), speed=s), Note(text="x")] for s in (1.0, 9.0))
    assert results_of(fast) == results_of(slow)
    assert [found["kind"] for found in results_of(fast)] == ["PhaseBegan", "StepTaken"]
    assert "samples_per_second" not in results_of(fast)[1]


def test_results_differ_where_a_loss_differs() -> None:
    assert results_of([step((0, 0, 1), 1.0)]) != results_of([step((0, 0, 1), 1.0 + 1e-15)])


def test_what_a_resumed_run_tells_again_counts_once() -> None:
    whole: list[Event] = [
        began((0, 0, 0)),
        step((0, 0, 1)),
        step((0, 0, 2)),
        step((0, 0, 3)),
        evaluated((0, 1, 0)),
        began((1, 0, 0)),
        step((1, 0, 1)),
    ]
    resumed: list[Event] = [
        *whole[:5],
        RunResumed(time=1.0, position=(0, 0, 1)),
        began((0, 0, 0)),
        *whole[2:],
    ]
    twice: list[Event] = [
        *resumed,
        RunResumed(time=1.0, position=(1, 0, 0)),
        began((1, 0, 0)),
        step((1, 0, 1)),
    ]
    assert results_of(resumed) == results_of(whole)
    assert results_of(twice) == results_of(whole)


def test_a_run_resumed_in_its_second_phase_does_not_lose_the_first() -> None:
    first: list[Event] = [began((0, 0, 0)), step((0, 0, 3)), evaluated((0, 1, 0))]
    events = [*first, RunResumed(time=1.0, position=(0, 1, 0)), began((0, 0, 0))]
    assert results_of(events) == results_of(first)


def test_what_was_measured_by_hand_or_again_is_no_result() -> None:
    scheduled = evaluated((0, 1, 0))
    events: list[Event] = [
        scheduled,
        evaluated((0, 1, 0), by_hand=True),
        evaluated((0, 0, 2), by_hand=True, figures={"accuracy": 0.9}),
        scheduled,
    ]
    assert results_of(events) == results_of([scheduled])
