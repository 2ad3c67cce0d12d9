"""Where the teacher, the student and its parts look."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import Any

import streamlit as st

from engine.api import RunCard, Studio, Weights
from pages.charts.parts import other_net
from pages.charts.parts_bars import PARTS
from pages.parts.parts.turn import Turn

KINDS = {
    "inherit": "wrong by the part that inherits, right by both",
    "explore": "wrong by the part that explores, right by both",
    "both": "wrong by both together",
    "": "the first of the split",
}


def pictures(
    found: Studio, card: RunCard, weights: Weights, turn: Turn, *, can_divide: bool
) -> None:
    """Grad-CAM by part.

    Args:
        can_divide: whether what each part says by itself is known.
    """
    if not turn.is_open or card.spec is None:
        return
    st.markdown("**Where each part looks**")
    kinds = list(KINDS) if can_divide else [""]
    if st.session_state.get("run_part_images", kinds[0]) not in kinds:
        st.session_state["run_part_images"] = kinds[0]
    fails = st.selectbox(
        "Images", kinds, key="run_part_images", bind="query-params", format_func=KINDS.get
    )
    told = turn.ask("Drawing where each part looks", found.part_pictures, weights, fails)
    if told is None:
        return
    if not told["shown"]:
        st.caption("There is no such image among those that were looked at.")
        return
    other = other_net(card.spec)
    for one, place in zip(told["shown"], cycle(st.columns(2, gap="medium"))):
        place.image(
            f"data:image/png;base64,{one['image']}",
            caption=_caption(one),
            alt=f"Validation image {one['row']}, {one['label']}: the image, then maps of the"
            f" {other}, the whole student, the part that inherits and the part that explores",
            width="stretch",
        )
    st.caption(
        f"Each row from left: the image, the {other}, the whole student, the part that inherits,"
        " the part that explores. Amber: what speaks for the true class (Grad-CAM, at the coarse"
        " size of the last map); the student's three maps share one scale. Look for parts that"
        f" find the object at different places. Such images: {told['images']}."
    )


def _caption(one: Mapping[str, Any]) -> str:
    said = one["said"]
    named = [f"{PARTS[part]}: {said[part]}" for part in PARTS if part in said]
    return " · ".join([f"**{one['label']}**", *named, f"student: {said['both']}"])
