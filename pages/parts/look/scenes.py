"""What a segmenter says about a picture, beside the truth and another net."""

from __future__ import annotations

import streamlit as st

from engine.api import RunCard, RunView, Studio
from pages.parts.look.answers_choice import no_weights, weights_of, weights_words
from pages.parts.look.beside import beside
from pages.parts.look.own_scenes import own_scenes
from pages.parts.look.viewer import Pair, viewer

MINE = "mine"
NAMES = {"test": "Test", "validation": "Validation", "train": "Training", MINE: "My own"}


def scenes(found: Studio, card: RunCard, view: RunView) -> None:
    """Picture, truth, two nets and where they are wrong."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        which = _pictures(view)
        weights = weights_of(found, card, view)
        # What is held back of a folder for validation is drawn by the seed; its test part is not.
        other = beside(found, card, any_seed=which in ("test", MINE))
    if weights is None:
        st.info(
            no_weights(card),
            icon=":material/hourglass_top:",
        )
        return
    st.caption(f"A: the student of this run. {weights_words(found, card, view, weights[1])}.")
    shape = next((cost.input_shape for cost in view.costs.values()), (3, 100, 200))
    pair = Pair(card.id, (card.id, "student", weights[1]), other, shape[1] * shape[2])
    if which == MINE:
        own_scenes(found, pair)
    else:
        st.fragment(viewer, key="look_viewer")(found, pair, which)


def _pictures(view: RunView) -> str:
    """Which pictures are shown; those for testing only once the run was tested on them."""
    is_tested = any(told.split == "test" and told.net == "student" for told in view.evaluated)
    splits = [*(["test"] if is_tested else []), "validation", "train", MINE]
    if st.session_state.get("look_pictures", splits[0]) not in splits:
        st.session_state["look_pictures"] = splits[0]
    chosen = st.segmented_control(
        "Pictures",
        splits,
        default=splits[0],
        required=True,
        key="look_pictures",
        bind="query-params",
        format_func=NAMES.get,
        on_change=_first,
        help="Test and validation pictures took no part in training. Of your own pictures nobody"
        " tells the truth, so nets are compared with each other only.",
    )
    return str(chosen)


def _first() -> None:
    st.query_params.pop("look_at", None)
