"""Which images of all: a kind, a true class and an answer, set by boxes or by a click elsewhere.

A click gives the boxes new names. Else a browser that is late would send what they held before,
and that would count as a person's choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import Answers
from pages.charts.answers import ANY, kinds

Choice = tuple[str, int, int]  # kind, true class, answer

FIRST: Choice = ("worst", ANY, ANY)


def filters(told: Answers, whose: str, run_id: str) -> Choice:
    """Draw the boxes; a link may have told what they hold at first.

    Args:
        whose: answers the third box is about.
    """
    names, words = told.classes, kinds(told)
    state = st.session_state
    if state.get("answers_of") != run_id:
        state["answers_of"] = run_id
        _begin(_linked(told), _number(st.query_params.get("answers_page", "")))
    show, truth, answer = state["answers_begin"]
    serial = state["answers_serial"]
    labels = [ANY, *range(len(names))]

    def named(label: int) -> str:
        return "All classes" if label == ANY else names[label]

    first, second, third = st.columns(3)
    chosen: Choice = (
        first.selectbox(
            "Show",
            list(words),
            index=list(words).index(show) if show in words else 0,
            key=f"answers_show_{serial}",
            format_func=lambda one: words[one],
            help="Where it is not said otherwise, images with the highest loss of the student"
            " come first.",
        ),
        second.selectbox(
            "True class",
            labels,
            index=labels.index(truth) if truth in labels else 0,
            key=f"answers_truth_{serial}",
            format_func=named,
        ),
        third.selectbox(
            f"Answer of the {whose}",
            labels,
            index=labels.index(answer) if answer in labels else 0,
            key=f"answers_answer_{serial}",
            format_func=named,
        ),
    )
    _tell_link(chosen)
    return chosen


def page_of(pages: int, choice: Choice) -> int:
    """Which page of the images; the first whenever another kind or class is chosen."""
    state = st.session_state
    linked = state["answers_begin_page"] if choice == state["answers_begin"] else 1
    name = "_".join(map(str, ("answers_page", state["answers_serial"], *choice)))
    page = 1
    if pages > 1:
        page = st.pagination(pages, default=linked if 1 <= linked <= pages else 1, key=name)
    _link("answers_page", str(page) if page > 1 else "")
    return page


def take_cell(cell: Sequence[int]) -> None:
    """Show the images of a class with an answer, as many as the cell says."""
    truth, answer = (int(label) for label in cell)
    _begin((FIRST[0], truth, answer))


def clear() -> None:
    """Show all classes."""
    _begin(FIRST)


def _begin(choice: Choice, page: int = 1) -> None:
    state = st.session_state
    state["answers_serial"] = state.get("answers_serial", 0) + 1
    state["answers_begin"] = choice
    state["answers_begin_page"] = page


def _linked(told: Answers) -> Choice:
    link = st.query_params
    show = link.get("answers_show", "")
    labels = [_number(link.get(name, ""), ANY) for name in ("answers_truth", "answers_answer")]
    truth, answer = (label if label in range(len(told.classes)) else ANY for label in labels)
    return show if show in kinds(told) else FIRST[0], truth, answer


def _tell_link(choice: Choice) -> None:
    names = ("answers_show", "answers_truth", "answers_answer")
    for name, value, plain in zip(names, choice, FIRST, strict=True):
        _link(name, "" if value == plain else str(value))


def _link(name: str, value: str) -> None:
    link = st.query_params
    if not value and name in link:
        del link[name]
    elif value and link.get(name) != value:
        link[name] = value


def _number(text: str, otherwise: int = 1) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else otherwise
