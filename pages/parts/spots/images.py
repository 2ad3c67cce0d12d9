"""Class by spot, and the images behind a cell: chosen by a click or by two boxes."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import Choices, RunCard, RunView, Studio
from pages.charts.spot import MOST_CLASSES, class_by_spot
from pages.charts.spot_samples import Ends, ends
from pages.parts.door import colours, sentence_of
from pages.parts.pick_plot import pick_plot

EVERY_CLASS = -1
POLL = 0.7  # seconds between two looks at the job that draws the images


def images(found: Studio, card: RunCard, view: RunView, choices: Choices | None) -> int:
    """Draw map, choice and images; gives the place of the chosen spot."""
    told = view.counted[-1]
    names = _class_names(card, view)
    _keep_valid(told.spots, len(names))
    st.markdown("**Classes, and the images behind them**")
    above = st.container()
    left, right = st.columns(2)
    spot = left.selectbox("Spot", told.spots, key="run_spot", bind="query-params")
    label = right.selectbox(
        "Class",
        [EVERY_CLASS, *range(len(names))],
        key="run_class",
        bind="query-params",
        format_func=lambda one: "All classes" if one == EVERY_CLASS else names[one],
    )
    with above:
        _map(view, names, spot, label)
    place = told.spots.index(spot)
    if choices is not None and place < choices.kept.shape[1]:
        shown = ends(choices, place, None if label == EVERY_CLASS else label)
        where = spot if label == EVERY_CLASS else f"{spot}, class {names[label]}"
        _pictures(found, card, choices, shown, names, where)
    return place


def _class_names(card: RunCard, view: RunView) -> list[str]:
    known = list(card.environment.get("classes", ()))
    count = len(view.counted[-1].samples)
    return known if len(known) == count else [f"class {row}" for row in range(count)]


def _keep_valid(spots: Sequence[str], num_classes: int) -> None:
    """What was chosen for another run may not exist in this one."""
    state = st.session_state
    if "run_spot" in state and state["run_spot"] not in spots:
        state["run_spot"] = spots[0]
    if "run_class" in state and state["run_class"] not in range(EVERY_CLASS, num_classes):
        state["run_class"] = EVERY_CLASS


def _map(view: RunView, names: Sequence[str], spot: str, label: int) -> None:
    told = view.counted[-1]
    figure = class_by_spot(view, colours(), names, (spot, label))
    pick_plot(
        figure,
        key="run_classes",
        alt=f"Share of images taught, for {len(told.samples)} classes at {len(told.spots)} spots"
        " in the last whole epoch.",
        on_pick=take_cell,
    )
    some = f" The {MOST_CLASSES} classes that differ most are shown." if _is_cut(view) else ""
    st.caption(
        "Of 100 images of a class, how many were taught at a spot in the last whole epoch. Look"
        " for columns that differ, and click a cell to see its images. Small differences change"
        f" from seed to seed.{some}"
    )


def _is_cut(view: RunView) -> bool:
    return len(view.counted[-1].samples) > MOST_CLASSES


def take_cell(cell: tuple[str, int]) -> None:
    """A click sets the two boxes, which are the only memory of the choice."""
    st.session_state["run_spot"], st.session_state["run_class"] = cell


def _pictures(
    found: Studio,
    card: RunCard,
    choices: Choices,
    shown: Ends,
    names: Sequence[str],
    where: str,
) -> None:
    if shown.images == 0:
        st.caption("No image of this class was seen in the last whole epoch.")
        return
    if shown.is_flat:
        chance = shown.most[0][1]
        st.caption(
            f"P is {chance:.2f} at {where} for each of these {shown.images:,} images: none is"
            " taught more than another."
        )
        return
    rows = [row for row, _ in (*shown.most, *shown.least)]
    state = found.pictures(card.id, rows)
    if state.status == "failed":
        st.warning(sentence_of(state.message, state.hint), icon=":material/broken_image:")
        return
    if state.status != "done":

        def look() -> None:
            if found.pictures(card.id, rows).status in ("done", "failed"):
                st.rerun()
            st.status("Drawing the images", type="step")

        st.fragment(look, run_every=POLL, key="run_pictures")()
        return
    over = "in its last visit" if choices.mean is None else "over the epochs so far"
    for words, end in (("Most", shown.most), ("Least", shown.least)):
        st.markdown(f"{words} often taught at {where}")
        labels = [names[choices.label[row]] for row, _ in end]
        st.image(
            [state.value[str(row)] for row, _ in end],
            caption=[
                f"{_chance(chance)} {label}" for label, (_, chance) in zip(labels, end, strict=True)
            ],
            alt=[
                f"Training image {row}, {label}, P {chance:.3f}"
                for label, (row, chance) in zip(labels, end, strict=True)
            ],
            width=96,
        )
    st.caption(
        f"P is the chance to be taught there, {over}; from {shown.images:,} training images."
        " Look for what the images of one row have in common."
    )


def _chance(chance: float) -> str:
    return f"P {chance:.2f}"
