"""What a classifier answers, picture by picture."""

from __future__ import annotations

import streamlit as st

from engine.api import Answers, RunCard, RunView, Studio, Weights
from pages.charts.answers import as_csv, calibration, headline
from pages.parts.door import sentence_of
from pages.parts.look.answers_choice import no_weights, split_of, weights_of, weights_words
from pages.parts.look.answers_confusion import confusions, whose_answers
from pages.parts.look.answers_filter import filters
from pages.parts.look.answers_gallery import gallery
from pages.parts.look.answers_own import own_pictures

POLL = 0.7  # seconds between two looks at the job that asks the nets


def answers(found: Studio, card: RunCard, view: RunView) -> None:
    """How often the nets are right, what they mix up, single images, and a person's own."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = split_of(card, view)
        weights = weights_of(found, card, view)
    if weights is None:
        st.info(
            no_weights(card),
            icon=":material/hourglass_top:",
        )
        return
    told = _asked(found, weights, split)
    if told is None:
        return
    st.markdown(headline(told))
    st.caption(f"{weights_words(found, card, view, weights[1])}. {calibration(told)}")
    st.markdown("#### What is taken for what")
    whose = whose_answers(told)
    above = st.container()  # the map marks what the boxes below it say
    st.markdown("#### Images")
    choice = filters(told, whose, card.id)
    with above:
        confusions(told, whose, choice[1:])
    gallery(found, card, told, whose, choice)
    st.download_button(
        "All answers as a table",
        data=lambda: as_csv(told).encode(),
        file_name=f"answers-{card.id}-{split}.csv",
        mime="text/csv",
        on_click="ignore",
        icon=":material/download:",
        help="CSV with a line for each image: truth, both answers, how likely, and the loss in"
        " nats.",
    )
    own_pictures(found, weights, told)


def _asked(found: Studio, weights: Weights, split: str) -> Answers | None:
    """The answers once they are there; till then it is said how far they are."""
    state = found.answers(weights, split)
    if state.status == "failed":
        st.warning(sentence_of(state.message, state.hint), icon=":material/broken_image:")
        return None
    if state.status == "done":
        if state.message:
            why = sentence_of(state.message)
            st.warning(f"**The teacher cannot be asked.** {why}", icon=":material/school:")
        told: Answers = state.value
        return told

    def look() -> None:
        now = found.answers(weights, split)
        if now.status in ("done", "failed"):
            st.rerun()
        st.progress(float(now.value or 0.0), text=f"Asking the nets about every {split} image")

    st.fragment(look, run_every=POLL, key="answers_asking")()
    return None
