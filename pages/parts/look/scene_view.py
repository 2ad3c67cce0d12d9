"""The comparison itself: drawn on canvases in the browser, so no switch needs the server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

_FOLDER = Path(__file__).parent / "browser"
_JS = "\n".join((_FOLDER / f"{name}.js").read_text("utf-8") for name in ("paint", "panels", "view"))
_CSS = (_FOLDER / "view.css").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Layer:
    """One mask over a picture.

    role:   truth, or first and second, the nets A and B
    mask:   path of a file, one byte a pixel, deflated by zlib
    is_same: its classes are those of the truth
    scores: overlap with the truth by class, 0 to 1 or None; empty where it is not known
    """

    role: str
    name: str
    note: str
    mask: str
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    is_same: bool = True
    scores: Sequence[float | None] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture with its masks.

    picture: path of a PNG or JPEG file; width, height: of the masks
    place:   from 1, among `count` pictures
    name:    of a file that is saved
    near:    the pictures before and after it, as far as they are known
    """

    picture: str
    width: int
    height: int
    layers: tuple[Layer, ...]
    place: int
    count: int
    words: str
    name: str
    near: tuple[Scene, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that are sent."""
        files = (self.picture, *(layer.mask for layer in self.layers))
        return sum(Path(file).stat().st_size for file in files)


def scene_view(scene: Scene, *, key: str, of: str, on_turn: Callable[[int], None]) -> None:
    """Draw a picture.

    Args:
        key: the element's name, the same for all pictures.
        of: changes where other pictures, or in another order, are turned over.
        on_turn: called with the place that a person goes to.
    """
    # One name, one definition: the styles stay within.
    view = st.components.v2.component(
        "scene_view",
        html='<div class="scene" role="group" aria-label="Comparison of masks"></div>',
        css=_CSS,
        js=_JS,
    )

    def tell() -> None:
        turned = st.session_state[key].get("turned")
        if isinstance(turned, int | float):
            on_turn(int(turned))

    data = {**_plain(scene), "near": [_plain(one) for one in scene.near], "list": of}
    view(key=key, data=data, on_turned_change=tell)


def _plain(scene: Scene) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "picture": _coded(scene.picture),
        "width": scene.width,
        "height": scene.height,
        "layers": [
            {
                "role": layer.role,
                "name": layer.name,
                "note": layer.note,
                "mask": _coded(layer.mask),
                "classes": list(layer.classes),
                "palette": [list(colour) for colour in layer.palette],
                "same": layer.is_same,
                "scores": list(layer.scores),
            }
            for layer in scene.layers
        ],
        "position": scene.place,
        "count": scene.count,
        "alt": scene.words,
        "file": scene.name,
    }
    parts = (scene.picture, *(layer.mask + layer.name + layer.note for layer in scene.layers))
    told = f"{parts} {scene.place} {scene.count} {scene.words}"
    return {**plain, "version": hashlib.sha256(told.encode()).hexdigest()[:16]}


def _coded(path: str) -> str:
    return base64.b64encode(Path(path).read_bytes()).decode()
