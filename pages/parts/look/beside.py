"""The net B: a run's teacher, or the student of another run of the same pictures."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from engine.api import DistillError, RunCard, SavedNet, Studio
from pages.charts.look import shares_pictures, unique_names
from pages.charts.table import title
from pages.parts.look.answers_choice import epoch_words

TEACHER = "teacher"
NOBODY = "none"
MOST = 40  # other runs to choose from


@dataclass(frozen=True, slots=True)
class Beside:
    """The net B. name: as a panel is called; note: what more is said of it."""

    net: SavedNet
    name: str
    note: str = ""


def beside(found: Studio, card: RunCard, *, any_seed: bool) -> Beside | None:
    """The net that a person chose to see beside the student; the choice is in the URL.

    Args:
        any_seed: runs of other seeds hold the same pictures back.
    """
    assert card.spec is not None
    others = _others(found, card, any_seed)
    options = [*others, *([TEACHER] if card.spec.teacher else []), NOBODY]
    names = {**others, TEACHER: "Its teacher", NOBODY: "No other net"}
    asked = st.query_params.get("look_beside", "")
    state = st.session_state
    if asked in options and "look_beside" not in state:
        state["look_beside"] = asked
    if state.get("look_beside") not in options:
        state["look_beside"] = options[0]
    chosen = st.selectbox(
        "B, beside it",
        options,
        key="look_beside",
        format_func=names.get,
        help="Another student of the same pictures, or this run's teacher. Runs of the same"
        " experiment come first.",
    )
    st.query_params["look_beside"] = chosen
    if chosen == NOBODY:
        return None
    if chosen == TEACHER:
        return Beside((card.id, "teacher", (0, 0, 0)), "B: teacher")
    at = saved_at(found, chosen)
    if at is None:
        st.caption("That run has saved no weights so far.")
        return None
    epoch = epoch_words(found.view(chosen), at)
    return Beside((chosen, "student", at), "B", f"{names[chosen]}, epoch {epoch}")


def saved_at(found: Studio, run_id: str) -> tuple[int, int, int] | None:
    """Where a run's student was saved last; None where it was not yet."""
    checkpoints = found.view(run_id).checkpoints
    if checkpoints:
        return checkpoints[-1].position
    return found.saved_weights(run_id).get("last")


def _others(found: Studio, card: RunCard, any_seed: bool) -> dict[str, str]:
    """Runs of the same pictures: id -> name; those of the experiment first."""
    assert card.spec is not None
    members = [member.run for member in card.experiment.runs] if card.experiment else []
    runs = [
        run
        for run in found.runs()
        if run.id != card.id
        and run.labels.data == card.spec.data.name
        and run.headline == card.spec.headline
        and (run.status == "finished" or run.progress > 0)
    ]
    runs.sort(key=lambda run: run.id not in members)
    kept = []
    for run in runs[:MOST]:
        try:
            other = found.run(run.id)
            is_known = other.environment.get("classes") == card.environment.get("classes")
            if (
                other.spec is not None
                and is_known
                and shares_pictures(card.spec.data, other.spec.data)
                and (any_seed or card.spec.seed == other.spec.seed)
            ):
                kept.append((run.id, title(run)))
        except DistillError:
            continue  # deleted meanwhile
    return unique_names(kept)
