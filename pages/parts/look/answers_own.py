"""A person's own pictures, and what the nets take them for."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engine.api import Answers, Studio, Weights, WorkspaceError
from pages.charts.answers_cards import Bar, own_html
from pages.parts.door import colours, sentence, sentence_of
from pages.parts.look.answer_cards import answer_cards

POLL = 0.7  # seconds between two looks at the job that asks the nets
MOST = 8  # pictures at once
MOST_MEGABYTES = 100  # of one picture
MOST_NAMED = 12  # classes that are all named
KINDS = ["png", "jpg", "jpeg", "webp"]


def own_pictures(found: Studio, weights: Weights, told: Answers) -> None:
    """Drop pictures, see the likeliest classes of each net."""
    st.markdown("#### Your own pictures")
    st.caption(_knows(told))
    given = st.file_uploader(
        "Pictures",
        type=KINDS,
        accept_multiple_files=True,
        key="answers_own",
        max_upload_size=MOST_MEGABYTES,
        label_visibility="collapsed",
        help=f"PNG, JPEG or WebP; {MOST} at most. The middle of a picture is cut out and scaled to"
        " the size that the nets know.",
    )
    if not given:
        return
    if len(given) > MOST:
        st.caption(f"The first {MOST} of {len(given)} pictures are shown.")
    pictures = [(file.name, file.getvalue()) for file in given[:MOST]]
    try:
        state = found.own_answers(weights, pictures)
    except WorkspaceError as error:
        st.warning(sentence(error), icon=":material/folder_off:")
        return
    if state.status == "failed":
        st.warning(sentence_of(state.message, state.hint), icon=":material/broken_image:")
    elif state.status == "done":
        _draw(state.value, has_teacher=told.teacher is not None)
    else:

        def look() -> None:
            if found.own_answers(weights, pictures).status in ("done", "failed"):
                st.rerun()
            st.status("Asking the nets about your pictures", type="step")

        st.fragment(look, run_every=POLL, key="answers_own_asking")()


def _draw(pictures: list[dict[str, Any]], *, has_teacher: bool) -> None:
    for one in pictures:
        if one["fault"]:
            st.warning(
                f"{one['fault']} Give a smaller or whole PNG, JPEG or WebP picture.",
                icon=":material/broken_image:",
            )
    shades = colours()
    cards = [
        own_html(
            one["name"],
            f"data:image/png;base64,{one['image']}",
            {
                who: [Bar(one["classes"][label], share) for label, share in pairs]
                for who, pairs in one["said"].items()
            },
            shades,
            has_teacher=has_teacher,
        )
        for one in pictures
        if not one["fault"]
    ]
    if cards:
        answer_cards(cards, key="answers_own_cards")
        st.caption("The pictures are shown as the nets see them.")


def _knows(told: Answers) -> str:
    names = told.classes
    listed = ", ".join(names[:MOST_NAMED]) + (" and others" if len(names) > MOST_NAMED else "")
    return (
        f"The nets know only their {len(names)} classes ({listed}). Whatever a picture shows, they"
        " answer with one of them, and may be sure of it."
    )
