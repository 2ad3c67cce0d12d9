"""What the student learns from: a registered data set, or a folder of this machine's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from pages.parts.distill import draft
from pages.parts.distill.form import Form
from pages.parts.door import is_expert

FOLDER = "image_folder"  # reads a folder that is chosen by its name


def data(form: Form) -> None:
    """Choose the images and see a few of them."""
    st.subheader("4 · Data")
    folders = _folders(form)
    known = form.entries["datasets"]
    for name in (*folders, draft.answer("data.name")):
        if name not in known and FOLDER in known:
            knobs = {k: schema for k, schema in known[FOLDER]["knobs"].items() if k != "path"}
            known[name] = {**known[FOLDER], "title": f"Folder: {name}", "knobs": knobs}
    form.select("datasets", "data", "Images to learn from")
    form.about("datasets", "data")
    chosen = draft.answer("data.name")
    if chosen in folders:
        st.caption(_described(folders[chosen]))
    if is_expert() or "path" in known.get(chosen, {}).get("knobs", {}):
        form.knobs("datasets", "data")
    state = form.ask("Fetching sample images", form.found.samples, draft.answer("data"))
    if state.status == "done":
        _samples(state.value)
    elif state.status == "failed":
        st.caption(f":material/info: No pictures to show: {state.message} {state.hint}")


def _folders(form: Form) -> Mapping[str, Mapping[str, Any]]:
    """Folders below DISTILL_DATA that hold one folder of images for each class."""
    state = form.ask("Looking for data sets", lambda _: form.found.folders(), {})
    found = state.value if state.status == "done" else []
    return {one["name"]: one for one in found if one["data"] == FOLDER}


def _described(folder: Mapping[str, Any]) -> str:
    return (
        f":material/folder: `{folder['path']}` · {folder['num_classes']} classes"
        f" · {', '.join(folder['splits'])}"
    )


def _samples(value: Mapping[str, Any]) -> None:
    with st.container(horizontal=True, gap="small", key="samples"):
        for image, label in zip(value["images"], value["labels"], strict=False):
            st.image(f"data:image/png;base64,{image}", caption=str(label), width=72)
