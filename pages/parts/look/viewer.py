"""One picture after another: order, position, the comparison, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from engine.api import SavedNet, Studio, class_palette, other_palette
from pages.charts.look import (
    Order,
    group_of,
    iou_rows,
    mask_png,
    mean_of,
    ordered,
    picture_words,
)
from pages.charts.words import percent
from pages.parts.look.beside import Beside
from pages.parts.look.scene_view import Layer, Scene, scene_view
from pages.parts.look.waiting import answer_of

ORDERS: dict[Order, str] = {
    "worst": "Worst overlap of A first",
    "gap": "Where B leads A most",
    "order": "As in the data set",
}
EVERY = -1
MOST_NEAR = 4  # pictures each way that the browser has before they are turned to
NEAR_BYTES = 1_000_000
IOU = (
    "Overlap, or IoU: of all pixels that are a class or are said to be, the share that is both."
    " 100 % is perfect."
)


@dataclass(frozen=True, slots=True)
class Pair:
    """What is compared on the pictures of a run: its student A, and perhaps a net B.

    pixels: of one picture
    """

    run: str
    first: SavedNet
    other: Beside | None
    pixels: int

    @property
    def nets(self) -> list[SavedNet]:
        return [self.first, *([self.other.net] if self.other else [])]


def viewer(found: Studio, pair: Pair, split: str) -> None:
    """The pictures of a split, in an order of one's choice."""
    ask = partial(found.look_overlaps, pair.run, split)
    what = "Measuring the overlap of every picture"
    one = answer_of(what, lambda: ask(pair.first), key="look_first")
    if one is None:
        return
    other = _overlaps_beside(found, pair, split)
    order, label = _order(one, other)
    rows = ordered(one["image_iou"], other.get("image_iou", ()), order, label)
    if not rows:
        st.caption("No picture shows this class.")
        return
    place = _place(len(rows))
    told = _masks(found, pair, split, rows, place)
    if told is None:
        return
    row = rows[place - 1]
    one_of = partial(_scene, told, pair, split, rows)
    scene = replace(one_of(place), near=_near(one_of, told, rows, place))
    scene_view(scene, key="look_scene", of=f"{pair.nets} {split} {rows}", on_turn=_go)
    _words(told, pair)
    _figures(one, other, told["scenes"][str(row)], told["classes"], split)
    downloads(scene)


def layers_of(told: Mapping[str, Any], pair: Pair, scene: Mapping[str, Any]) -> tuple[Layer, ...]:
    """The layers of nets A and B, and before them the truth where it is told."""
    classes, colours = told["classes"], palette_of(told)
    found = []
    if "truth" in scene:
        found.append(Layer("truth", "Truth", "", scene["truth"], classes, colours))
    overlaps = scene.get("iou") or [None] * len(scene["masks"])
    names = [("first", "A: student", "")]
    if pair.other is not None:
        names.append(("second", pair.other.name, pair.other.note))
    for (role, name, note), mask, net, shares in zip(
        names, scene["masks"], told["nets"], overlaps, strict=True
    ):
        own = colours
        if not net["is_same"]:
            own = other_palette(net["classes"], dict(zip(classes, colours, strict=True)))
        words = " · ".join(filter(None, (note, _mean_words(shares))))
        found.append(
            Layer(role, name, words, mask, net["classes"], own, net["is_same"], shares or ())
        )
    return tuple(found)


def palette_of(told: Mapping[str, Any]) -> tuple[tuple[int, int, int], ...]:
    """Colours of the data set's classes."""
    return class_palette(told["palette"], len(told["classes"]))


def downloads(scene: Scene) -> None:
    """The masks as files of class numbers."""
    with st.container(horizontal=True):
        for layer in scene.layers:
            name = "truth" if layer.role == "truth" else f"mask-{layer.name[0].lower()}"
            st.download_button(
                f"Mask of {layer.name[0]}" if layer.role != "truth" else "Mask of the truth",
                data=partial(_mask_bytes, layer, scene),
                file_name=f"{scene.name}-{name}.png",
                mime="image/png",
                key=f"look_save_{layer.role}",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
                help="A PNG of class numbers with a palette, as labelling tools read it.",
            )


def _overlaps_beside(found: Studio, pair: Pair, split: str) -> Mapping[str, Any]:
    """Of net B; empty where there is none, or it is not measured so far."""
    if pair.other is None:
        return {}
    state = found.look_overlaps(pair.run, split, pair.other.net)
    return state.value if state.status == "done" else {}


def _order(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Order, int | None]:
    """How pictures are sorted, and the class that they must show."""
    can_compare = bool(other.get("image_iou"))
    orders = [name for name in ORDERS if can_compare or name != "gap"]
    labels = [EVERY, *range(len(one["classes"]))]
    for key, options in (("look_order", orders), ("look_class", labels)):
        if st.session_state.get(key, options[0]) not in options:
            st.session_state[key] = options[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        order = st.selectbox(
            "Order",
            orders,
            key="look_order",
            bind="query-params",
            format_func=ORDERS.get,
            on_change=_go,
            args=(1,),
            help=IOU,
        )
        label = st.selectbox(
            "Class",
            labels,
            key="look_class",
            bind="query-params",
            format_func=lambda one_: "All classes" if one_ == EVERY else one["classes"][one_],
            on_change=_go,
            args=(1,),
            help="Only pictures that show this class, sorted by its overlap.",
        )
    return order, None if label == EVERY else label


def _place(count: int) -> int:
    """The place in the URL, from 1."""
    text = st.query_params.get("look_at", "1")
    return min(max(int(text), 1), count) if text.isdigit() and len(text) < 8 else 1


def _go(place: int) -> None:
    st.query_params["look_at"] = str(place)


def _masks(
    found: Studio, pair: Pair, split: str, rows: Sequence[int], place: int
) -> Mapping[str, Any] | None:
    """The pictures around a place.

    Those before and after them are asked for once these are there, and are told once they are too.
    """
    ask = partial(found.look_masks, pair.run, split)
    group = group_of(rows, place - 1, pair.pixels)
    told: Mapping[str, Any] | None = answer_of(
        "Drawing what the nets see", lambda: ask(group, pair.nets), key="look_masks"
    )
    if told is None:
        return None
    scenes = dict(told["scenes"])
    for edge in (rows.index(group[-1]) + 1, rows.index(group[0]) - 1):
        if 0 <= edge < len(rows):
            state = ask(group_of(rows, edge, pair.pixels), pair.nets)
            scenes |= state.value["scenes"] if state.status == "done" else {}
    return {**told, "scenes": scenes}


def _near(
    one_of: Callable[[int], Scene], told: Mapping[str, Any], rows: Sequence[int], place: int
) -> tuple[Scene, ...]:
    """The pictures before and after a place, the nearest first: one each way, and as many more as
    are small."""
    found: list[Scene] = []
    size = 0
    for far in range(1, MOST_NEAR + 1):
        if size > NEAR_BYTES:
            break
        for other in (place + far, place - far):
            if 1 <= other <= len(rows) and str(rows[other - 1]) in told["scenes"]:
                found.append(one_of(other))
                size += found[-1].size
    return tuple(found)


def _scene(
    told: Mapping[str, Any], pair: Pair, split: str, rows: Sequence[int], place: int
) -> Scene:
    row = rows[place - 1]
    shown = told["scenes"][str(row)]
    height, width = told["size"]
    means = {
        letter: mean_of(shares) if shares else None
        for letter, shares in zip("AB", shown["iou"], strict=False)
    }
    return Scene(
        shown["image"],
        width,
        height,
        layers_of(told, pair, shown),
        place,
        len(rows),
        picture_words(place, len(rows), means),
        f"{pair.run}-{split}-{row}",
    )


def _words(told: Mapping[str, Any], pair: Pair) -> None:
    """What must be said of classes and colours."""
    given = tuple(tuple(colour) for colour in told["palette"])
    if given and given != palette_of(told):
        st.caption(
            "Some of the data set's own colours look alike to colour-blind readers; those classes"
            " have other colours here."
        )
    if pair.other is not None and not told["nets"][1]["is_same"]:
        names = ", ".join(told["nets"][1]["classes"])
        st.caption(
            f":material/info: B knows other classes ({names}). They are drawn in colours of their"
            " own, and their overlap with this truth cannot be measured."
        )


def _figures(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    shown: Mapping[str, Any],
    classes: Sequence[str],
    split: str,
) -> None:
    """Overlap by class in this picture, and over the whole split."""
    first, second = (*shown["iou"], None)[:2]
    rows = iou_rows(classes, first, second)
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown("**Overlap in this picture**, in per cent", help=IOU)
        bars = {
            name: st.column_config.ProgressColumn(name, format="%.1f", min_value=0, max_value=100)
            for name in ("A", "B")
        }
        alt = "Overlap of each class in this picture, in per cent"
        st.dataframe(rows, hide_index=True, column_config=bars, height="content", alt=alt)
    with right:
        st.markdown(f"**All {one['images']} {split} pictures**", help=IOU)
        with st.container(horizontal=True):
            for letter, told in (("A", one), ("B", other)):
                if told.get("miou") is not None:
                    st.metric(f"{letter}: mean overlap (mIoU)", percent(told["miou"]))


def _mean_words(shares: Sequence[float | None] | None) -> str:
    mean = mean_of(shares) if shares else None
    return "" if mean is None else percent(mean, 0).replace(" ", "\N{NO-BREAK SPACE}")


def _mask_bytes(layer: Layer, scene: Scene) -> bytes:
    return mask_png(Path(layer.mask).read_bytes(), scene.width, scene.height, layer.palette)
