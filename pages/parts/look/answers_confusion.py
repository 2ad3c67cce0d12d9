"""What is taken for what: a map to click, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import Answers
from pages.charts.answers import MOST_PAIRS, Pair, confused, confusion, said_by
from pages.charts.answers_figure import confusion_figure
from pages.parts.door import colours
from pages.parts.look.answers_filter import take_cell
from pages.parts.pick_plot import pick_plot


def confusions(told: Answers, whose: str, marked: tuple[int, int]) -> None:
    """Draw the map of one net's answers.

    Args:
        whose: the `student` or the `teacher`.
        marked: true class and answer whose images are shown.
    """
    counts = confusion(told, said_by(told, whose))
    pairs = confused(counts)
    left, right = st.columns([3, 2], gap="large")
    with left:
        pick_plot(
            confusion_figure(counts, told.classes, colours(), marked),
            key="answers_confusion",
            alt=f"Confusion matrix of the {whose} on {len(told.truth):,} {told.split} images,"
            f" {len(told.classes)} classes. {_worst(pairs, told.classes)}",
            on_pick=take_cell,
        )
        st.caption(
            "A row is what the images show, a column what the net says; right answers lie on the"
            " diagonal. The steps of colour stand for 0.5, 1, 2, 5, 10, 20 and 50 % of a row, so"
            " that mistakes show. Click a cell to see its images below."
        )
    with right:
        _list(pairs, told.classes)


def whose_answers(told: Answers) -> str:
    """Which net the map and the filter by answer are about."""
    if told.teacher is None:
        return "student"
    whose = st.segmented_control(
        "Answers of",
        ["student", "teacher"],
        default="student",
        required=True,
        key="answers_whose",
        bind="query-params",
        format_func=str.capitalize,
    )
    return str(whose)


def _list(pairs: Sequence[Pair], names: Sequence[str]) -> None:
    st.markdown(f"**Most often mixed up** (at most {MOST_PAIRS})")
    if not pairs:
        st.caption("Nothing: every answer is right.")
    with st.container(gap=None):
        for pair in pairs:
            st.button(
                f"{names[pair.truth]} → {names[pair.answer]}: {pair.count:,}"
                f" ({100 * pair.share:.1f}\N{NO-BREAK SPACE}%)",
                key=f"answers_pair_{pair.truth}_{pair.answer}",
                type="tertiary",
                on_click=take_cell,
                args=([pair.truth, pair.answer],),
            )
    if pairs:
        st.caption(
            "What the images show → what the net says: how many, and their share of the class."
            " Click a line to see them."
        )


def _worst(pairs: Sequence[Pair], names: Sequence[str]) -> str:
    if not pairs:
        return "Every answer is right."
    first = pairs[0]
    return (
        f"Most often mixed up: {names[first.truth]} taken for {names[first.answer]},"
        f" {first.count} images."
    )
