"""Which images, and which weights of the student."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from engine.api import RunCard, RunView, Studio, Weights

At = tuple[int, int, int]

OVER = ("finished", "stopped", "interrupted", "failed")
WHICH = {"last": "Last", "best": "Best"}


def split_of(card: RunCard, view: RunView) -> str:
    """The images to ask about; those for testing only once the run has been tested on them."""
    tested = any(told.split == "test" and told.net == "student" for told in view.evaluated)
    splits = ["test", "validation"] if tested else ["validation"]
    if st.session_state.get("answers_split", splits[0]) not in splits:
        st.session_state["answers_split"] = splits[0]
    split = st.segmented_control(
        "Images",
        splits,
        default=splits[0],
        required=True,
        key="answers_split",
        bind="query-params",
        format_func=str.capitalize,
        help="Neither took part in training. The best epoch was chosen by the"
        f" {_chosen_on(card)} images.",
    )
    return str(split)


def weights_of(found: Studio, card: RunCard, view: RunView) -> Weights | None:
    """The weights that a person chose; None where none are saved yet.

    Of a run under way they stay those that were newest at first, until newer ones are asked for.
    """
    saved = _saved(found, card, view)
    if not saved:
        return None
    if st.session_state.get("answers_weights", "last") not in WHICH:
        st.session_state["answers_weights"] = "last"
    which = "last"
    if len(set(saved.values())) > 1:
        chosen = st.segmented_control(
            "Weights",
            list(WHICH),
            default="last",
            required=True,
            key="answers_weights",
            bind="query-params",
            format_func=lambda one: WHICH[one],
            help="The last that were saved, or those of the epoch that was best on the"
            f" {_chosen_on(card)} images.",
        )
        which = str(chosen)
    newest: Weights = (card.id, saved[which])
    kept = f"answers_kept_{card.id}_{which}"
    if card.status in OVER:
        st.session_state.pop(kept, None)
        return newest
    seen: Weights = st.session_state.setdefault(kept, newest)
    if newest != seen:
        label = f"Take those of epoch {epoch_words(view, newest[1])}"
        if st.button(label, icon=":material/refresh:", help="Newer weights were saved since."):
            st.session_state[kept] = seen = newest
    return seen


def no_weights(card: RunCard) -> str:
    """Why there is nothing to look at."""
    if card.status in OVER:
        return "This run ended before any weights of the student were saved."
    return "There is something to see once the first weights of the student are saved."


def _chosen_on(card: RunCard) -> str:
    return card.spec.select_on if card.spec else "validation"


def weights_words(found: Studio, card: RunCard, view: RunView, at: At) -> str:
    """As in `Weights of epoch 9 (last)`."""
    saved = _saved(found, card, view)
    words = f"Weights of epoch {epoch_words(view, at)}"
    names = [which for which in ("last", "best") if saved.get(which) == at]
    if card.status not in OVER:
        return f"{words}; training goes on"
    return f"{words} ({' and '.join(names)})" if names else words


def epoch_words(view: RunView, at: At) -> str:
    return f"{view.epoch_of(at):.4g}"


def _saved(found: Studio, card: RunCard, view: RunView) -> Mapping[str, At]:
    """`last` and `best` -> position; a checkpoint is newer than a file of weights."""
    saved = dict(found.saved_weights(card.id))
    if view.checkpoints:
        saved["last"] = view.checkpoints[-1].position
    if "last" not in saved:
        return {}
    return {"last": saved["last"], "best": saved.get("best", saved["last"])}
