"""What the fronts of teacher and student make of a few held-out images."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from engine.api import RunCard, RunView, Studio
from pages.charts.segments_fronts import front_strip, gap_ratio, ramp, scale_end
from pages.parts.door import colours
from pages.parts.parts.turn import Turn
from pages.parts.segments.scenes import in_pairs

MEAN = -1  # of all channels


def fronts(found: Studio, card: RunCard, view: RunView, turn: Turn) -> None:
    """Maps of the teacher's front, the student's, and the gap between them."""
    if card.spec is None or card.spec.teacher is None or not turn.is_open:
        return
    st.markdown("**What the fronts of teacher and student see**")
    if not view.checkpoints:
        st.caption("The maps are drawn once the first weights are saved.")
        return
    at = view.checkpoints[-1].position
    told = turn.ask("Drawing feature maps", found.scene_features, (card.id, at))
    if told is None:
        return
    channels = told["channels"]
    if st.session_state.get("run_channel", MEAN) not in (MEAN, *channels):
        st.session_state["run_channel"] = MEAN
    channel = st.selectbox(
        "Shown",
        [MEAN, *channels],
        key="run_channel",
        format_func=lambda one: "Mean over all channels" if one == MEAN else f"Channel {one}",
        help="The channels are the eight in which the teacher's maps differ most from place to"
        " place.",
    )
    teacher, student = _maps(told["path"], 0 if channel == MEAN else 1 + channels.index(channel))
    end = scale_end(teacher, student)
    files = turn.ask("Finding the images", found.scenes, card.id, told["split"], told["rows"]) or {}
    if not turn.is_open:
        return
    table = ramp(colours().sequential)
    for nth, (row, place) in enumerate(zip(told["rows"], in_pairs(len(told["rows"])), strict=True)):
        path = files.get(str(row), {}).get("image", "")
        shown = front_strip(_pixels(path), teacher[nth], student[nth], end, table)
        place.image(
            shown,
            caption=f"Image {row + 1}: distance {told['distance'][nth]:.2f} over all channels,"
            f" {gap_ratio(teacher[nth], student[nth]):.2f} of what is shown",
            alt=f"{told['split'].capitalize()} image {row + 1}, from left:"
            f" {'the image, ' if path else ''}the teacher's map, the student's map, their gap",
            width="stretch",
        )
    what = "the mean over all channels" if channel == MEAN else f"channel {channel}"
    first = "the image, " if files else ""
    phase = view.plan[at[0]].phase.replace("_", " ") if view.plan else ""
    st.caption(
        f"Each row from left: {first}the teacher's front, the student's front, and how far apart"
        f" they are; {what}, at *{told['cut']}*, {told['size'][0]} × {told['size'][1]} places, all"
        f" on one scale from 0 to {end:.2g}. Look for a gap that is faint beside both maps."
        f" Weights saved in phase *{phase}*: where the whole student was tuned after the imitation,"
        " its front may have left the teacher's on purpose."
    )


@st.cache_data(max_entries=8, show_spinner=False)
def _tables(path: str) -> tuple[NDArray[Any], NDArray[Any]]:
    with np.load(path) as stored:
        return stored["teacher"], stored["student"]


def _maps(path: str, channel: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    teacher, student = _tables(path)
    return teacher[:, channel], student[:, channel]


def _pixels(path: str) -> NDArray[np.uint8] | None:
    if not path:
        return None
    with Image.open(path) as image:
        return np.asarray(image)
