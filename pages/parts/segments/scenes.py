"""Fixed held-out images: the truth, and what a net says of them at each evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from engine.api import DistillError, JobState, Overlaps, RunCard, RunView, Studio
from pages.charts.curve import evaluated_split
from pages.charts.segments_overlay import (
    Colour,
    class_colours,
    class_names,
    legend,
    shares,
    strip,
)
from pages.charts.words import percent
from pages.parts.door import sentence, sentence_of

SHOWN = 6  # images
NEWEST = "newest"
POLL = 0.7  # seconds between two looks at the job that finds the images
At = tuple[int, int, int]


def scenes(found: Studio, card: RunCard, view: RunView, *, place: str, is_live: bool) -> None:
    """Draw them, with a slider over the evaluations made so far.

    Args:
        place: of the page, for the keys.
        is_live: the page is drawn anew by itself, so nothing needs to wait for the images.
    """
    split = evaluated_split(view)
    made = evaluations(view, split)
    st.markdown("**The same images at each evaluation**")
    if not made:
        st.caption("The pictures begin with the first measurement.")
        return
    at = _scrubbed(view, made, place)
    student = _overlaps(found, card, "student", split, at)
    if student is None:
        return
    teacher = None
    if any((told.net, told.split) == ("teacher", split) for told in view.evaluated):
        teacher = _overlaps(found, card, "teacher", split, (0, 0, 0))
    only_wrong = st.toggle(
        "Mistakes only",
        key=f"{place}_mistakes",
        bind="query-params",
        help="Shows where a net says another class than the truth, in the colour of what it says;"
        " all that is right is dark and grey.",
    )
    count = len(student.confusion)
    names = class_names(card.environment, count)
    st.html(legend(names, class_colours(card.environment, count)))
    _strips(found, card, split, at, student, teacher, only_wrong=only_wrong, is_live=is_live)


def evaluations(view: RunView, split: str) -> dict[str, At]:
    """Where the student was measured on a split, by its name for the slider."""
    told = [
        one.at
        for one in view.evaluated
        if (one.net, one.split, one.weights) == ("student", split, "last")
    ]
    return {name_of(view, at): at for at in sorted(set(told))}


def name_of(view: RunView, at: At) -> str:
    """As in `epoch 4, head`."""
    phase = view.plan[at[0]].phase.replace("_", " ") if at[0] < len(view.plan) else ""
    epoch = f"epoch {view.epoch_of(at):.3g}"
    return f"{epoch}, {phase}" if phase and len(view.plan[0].phases) > 1 else epoch


def _scrubbed(view: RunView, made: Mapping[str, At], place: str) -> At:
    """The chosen evaluation; at first the newest, which follows."""
    newest = [*made.values()][-1]
    if len(made) < 2:
        st.caption(f"Measured once so far: {next(iter(made))}.")
        return newest
    chosen = st.select_slider(
        "Evaluation",
        [*made, NEWEST],
        value=NEWEST,
        key=f"{place}_scene",
        help="Drag to go back through training. *newest* follows while the run goes on; an epoch"
        " that you choose stays.",
    )
    if chosen == NEWEST:
        st.caption(f"Newest: {name_of(view, newest)}. {len(made)} evaluations so far.")
    return made.get(str(chosen), newest)


def _overlaps(found: Studio, card: RunCard, net: str, split: str, at: At) -> Overlaps | None:
    try:
        kept = found.overlaps(card.id, net, split, at)
    except DistillError as error:
        st.warning(sentence(error), icon=":material/broken_image:")
        return None
    if kept is None and net == "student":
        st.caption("This evaluation left no masks.")
    return kept


def _strips(
    found: Studio,
    card: RunCard,
    split: str,
    at: At,
    student: Overlaps,
    teacher: Overlaps | None,
    *,
    only_wrong: bool,
    is_live: bool,
) -> None:
    places = evenly(len(student.rows), SHOWN)
    rows = [int(student.rows[place]) for place in places]
    files = _files(found, card, split, rows, is_live=is_live)
    colours = class_colours(card.environment, len(student.confusion))
    names = class_names(card.environment, len(colours))
    for place, row, column in zip(places, rows, in_pairs(len(rows)), strict=True):
        masks = [student.masks[place]]
        if teacher is not None and row in teacher.rows:
            masks.append(teacher.masks[int(np.flatnonzero(teacher.rows == row)[0])])
        pair = files.get(str(row), {})
        drawn = drawn_strip(
            (card.id, split, at, row, only_wrong, len(masks)),
            pair.get("image", ""),
            pair.get("truth", ""),
            colours,
            masks,
            only_wrong,
        )
        told = float(student.image_miou[row])
        overlap = "nothing to measure" if np.isnan(told) else f"mean overlap {percent(told, 0)}"
        tiles = "image, truth, student" if pair else "student"
        column.image(
            drawn,
            caption=f"Image {row + 1}: {overlap}",
            alt=f"{split.capitalize()} image {row + 1}, from left: {tiles}"
            f"{', teacher' if len(masks) > 1 else ''}. The student says:"
            f" {shares(masks[0], names)}. {overlap.capitalize()}.",
            width="stretch",
        )
    order = "the image, the truth, the student" if files else "what the student says"
    also = ", the teacher" if teacher is not None else ""
    st.caption(
        f"Each row from left: {order}{also}. {split.capitalize()} images that take no part in"
        " training, always the same. Under each: the student's overlap with the truth in this"
        " image, mean over the classes that the truth shows. Look for areas that grow together;"
        " stripes: the truth leaves these pixels open."
    )


def evenly(count: int, most: int) -> list[int]:
    """Places of at most so many of `count` things, evenly spaced."""
    shown = min(count, most)
    return [place * count // shown for place in range(shown)]


def in_pairs(count: int) -> list[DeltaGenerator]:
    """Places for so many pictures, two side by side; on a phone in their order."""
    rows = [st.columns(2, gap="medium") for _ in range(0, count, 2)]
    return [column for row in rows for column in row][:count]


def _files(
    found: Studio, card: RunCard, split: str, rows: Sequence[int], *, is_live: bool
) -> Mapping[str, Mapping[str, str]]:
    """The paths of images and truths; none while they are being found."""
    state = found.scenes(card.id, split, rows)
    if state.status == "done":
        files: Mapping[str, Mapping[str, str]] = state.value
        return files
    if state.status == "failed":
        text = sentence_of(state.message, state.hint)
        st.warning(f"Only what the nets say is shown. {text}", icon=":material/broken_image:")
    else:
        _wait(found, card, split, rows, is_live=is_live)
    return {}


def _wait(found: Studio, card: RunCard, split: str, rows: Sequence[int], *, is_live: bool) -> None:
    if is_live:
        st.status("Finding the images", type="step")
        return

    def look() -> None:
        state: JobState = found.scenes(card.id, split, rows)
        if state.status in ("done", "failed"):
            st.rerun()
        st.status("Finding the images", type="step")

    st.fragment(look, run_every=POLL, key="scene_files")()


@st.cache_data(max_entries=400, show_spinner=False)
def drawn_strip(
    known_by: tuple[Any, ...],
    image: str,
    truth: str,
    colours: tuple[Colour, ...],
    _masks: Sequence[NDArray[np.uint8]],
    only_wrong: bool,
) -> bytes:
    """One row of tiles as a PNG; kept by run, evaluation and image."""
    if not image:
        return strip(None, _masks, colours)
    told = _pixels(truth)
    return strip(_pixels(image), [told, *_masks], colours, truth=told if only_wrong else None)


def _pixels(path: str) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)
