"""A person's own pictures, of which nobody tells the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from engine.api import Studio
from pages.parts.door import outcome
from pages.parts.look.scene_view import Scene, scene_view
from pages.parts.look.viewer import Pair, downloads, layers_of
from pages.parts.look.waiting import answer_of

MOST = 8  # pictures at once
MOST_MEGABYTES = 50
KINDS = ["png", "jpg", "jpeg", "webp"]
KEPT = "look_kept"  # upload -> name of the file that holds it


def own_scenes(found: Studio, pair: Pair) -> None:
    """Drop pictures in, see what the nets find there."""
    given = st.file_uploader(
        "Your pictures",
        type=KINDS,
        accept_multiple_files=True,
        max_upload_size=MOST_MEGABYTES,
        key="look_own",
        help=f"PNG, JPEG or WebP, {MOST} at most. They stay on this machine.",
    )
    if not given:
        st.caption(
            "Drop pictures here. The nets find only the classes that they know, wherever the"
            " pictures are from; streets work best with nets that learnt streets."
        )
        return
    if len(given) > MOST:
        st.caption(f"The first {MOST} of {len(given)} pictures are shown.")
    pictures = _kept(found, given[:MOST])
    if pictures:
        st.fragment(_viewer, key="look_own_viewer")(found, pair, pictures)


def _kept(found: Studio, given: Sequence[UploadedFile]) -> list[tuple[str, str]]:
    """(name, name of the file that holds it) of each upload; each is written once."""
    known: dict[str, str] = st.session_state.setdefault(KEPT, {})
    for file in given:
        if file.file_id not in known and (kept := outcome(found.keep_picture, file.getvalue())):
            known[file.file_id] = kept
    return [(file.name, known[file.file_id]) for file in given if file.file_id in known]


def _viewer(found: Studio, pair: Pair, pictures: Sequence[tuple[str, str]]) -> None:
    told = answer_of(
        "Looking at your pictures",
        lambda: found.look_own(pair.run, pair.nets, pictures),
        key="look_own_wait",
    )
    if told is None:
        return
    usable = _usable(told["scenes"])
    if not usable:
        return
    place = min(max(int(st.session_state.get("look_own_at", 1)), 1), len(usable))
    shown = usable[place - 1]
    height, width = shown["size"]
    name = shown["name"].rpartition(".")[0] or shown["name"]
    layers = layers_of(told, pair, shown)
    words = f"Own picture {place} of {len(usable)}, {shown['name']}"
    scene = Scene(shown["image"], width, height, layers, place, len(usable), words, name)
    st.markdown(f"**{shown['name']}**")
    scene_view(scene, key="look_own_scene", of=f"{pair.nets} {pictures}", on_turn=_go)
    st.caption(
        "The nets saw it as large as the pictures they learnt from, in several views where its"
        " shape is another. Nobody tells the truth here, so there is no overlap to measure."
    )
    downloads(scene)


def _usable(scenes: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    for one in scenes:
        if one["fault"]:
            st.warning(f"**{one['name']}** {one['fault']}", icon=":material/broken_image:")
    return [one for one in scenes if not one["fault"]]


def _go(place: int) -> None:
    st.session_state["look_own_at"] = place
