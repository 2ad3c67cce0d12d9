"""Images with their answers, the worst first; a click opens one."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import Answers, RunCard, Studio
from pages.charts.answers import PAGE, cell_words, chosen, counted, num_pages
from pages.charts.answers_cards import card_html, large_html
from pages.parts.door import colours, sentence_of
from pages.parts.look.answer_cards import address, answer_cards
from pages.parts.look.answers_filter import Choice, clear, page_of

POLL = 0.7  # seconds between two looks at the job that draws the images
LARGE = 384  # pixels


def gallery(found: Studio, card: RunCard, told: Answers, whose: str, choice: Choice) -> None:
    """How many images a choice of the filters leaves, and a page of them."""
    show, truth, answer = choice
    rows = chosen(told, show, truth=truth, answer=answer, whose=whose)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{counted(len(rows), len(told.truth), told.split)}**")
        if words := cell_words(told.classes, truth, answer):
            st.button(
                words,
                key="answers_clear",
                icon=":material/close:",
                on_click=clear,
                help="Show all classes again",
            )
    if len(rows) == 0:
        st.caption("No image is like that. Choose another kind, or all classes.")
        return
    page = page_of(num_pages(rows), choice)
    _cards(found, card, told, [int(row) for row in rows[(page - 1) * PAGE : page * PAGE]])


def _cards(found: Studio, card: RunCard, told: Answers, rows: Sequence[int]) -> None:
    state = found.pictures(card.id, rows, told.split)
    if state.status == "failed":
        st.warning(sentence_of(state.message, state.hint), icon=":material/broken_image:")
        return
    if state.status != "done":

        def look() -> None:
            if found.pictures(card.id, rows, told.split).status in ("done", "failed"):
                st.rerun()
            st.status("Drawing the images", type="step")

        st.fragment(look, run_every=POLL, key="answers_drawing")()
        return
    places: dict[str, str] = state.value
    shades = colours()
    answer_cards(
        [card_html(told, row, address(places[str(row)]), shades) for row in rows],
        key="answers_cards",
        on_open=_open,
    )
    st.caption(
        "✓ is right, ✗ is wrong. Bars: the student's likeliest classes, in per cent. Click an image"
        " to see it larger, with the teacher's beside them."
        if told.teacher is not None
        else "✓ is right, ✗ is wrong. Bars: the student's likeliest classes, in per cent."
    )
    larger = found.pictures(card.id, rows, told.split, LARGE)  # likely to be opened soon
    opened = st.session_state.pop("answers_opened", None)
    if opened in rows:
        where = larger.value if larger.status == "done" else places
        _dialog(told, opened, address(where[str(opened)]))


def _dialog(told: Answers, row: int, image: str) -> None:
    title = f"{told.split.capitalize()} image {row}"

    def draw() -> None:
        answer_cards([large_html(told, row, image, colours())], key="answers_large")

    st.dialog(title, width="medium")(draw)()


def _open(row: int) -> None:
    st.session_state["answers_opened"] = row
