"""What the student learns from: a registered data set, or a folder of this machine's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.api import JobState
from pages.parts.distill import draft
from pages.parts.distill.data_faults import data_faults
from pages.parts.distill.defaults import READERS
from pages.parts.distill.form import Form
from pages.parts.distill.knobs import part_knobs
from pages.parts.distill.look_alike import has_similar
from pages.parts.distill.masked_samples import masked_samples
from pages.parts.door import is_expert

# What Guided asks of a set to segment, in its words.
ASKED = {
    "path": "Folder of pictures and masks",
    "num_target": "Labelled pictures to learn from",
    "proximity": "Folder of similar pictures, without labels",
    "num_proximity": "Similar pictures, without labels",
    "width": "Width in pixels",
    "height": "Height in pixels",
}


def data(form: Form) -> None:
    """Choose the images and see a few of them."""
    st.subheader("4 · Data")
    folders = _folders(form)
    known, reader = form.entries["datasets"], READERS[form.task]
    for name in (*folders, draft.answer("data.name")):
        if name not in known and reader in known:
            knobs = {k: schema for k, schema in known[reader]["knobs"].items() if k != "path"}
            known[name] = {**known[reader], "title": f"Folder: {name}", "knobs": knobs}
    before = has_similar(form)
    form.select("datasets", "data", "Images to learn from")
    form.about("datasets", "data")
    chosen = draft.answer("data.name")
    if chosen in folders:
        st.caption(_described(folders[chosen]))
    if form.task == "segment" and not is_expert():
        _asked(form, chosen)
    elif is_expert() or "path" in known.get(chosen, {}).get("knobs", {}):
        form.knobs("datasets", "data")
    form.is_outdated |= has_similar(form) != before  # the method asks whether to use them
    state = form.ask("Fetching sample images", form.found.samples, draft.answer("data"))
    if state.status == "done":
        _samples(form, state)
    elif state.status == "failed":
        data_faults(form, state)


def _asked(form: Form, name: str) -> None:
    """The few settings of a set to segment that decide what is learnt from."""
    schemas = form.entries["datasets"].get(name, {}).get("knobs", {})
    part_knobs("data", name, schemas, form.mark, asked=ASKED)


def _folders(form: Form) -> Mapping[str, Mapping[str, Any]]:
    """Folders below DISTILL_DATA that hold images for the task of the form."""
    state = form.ask("Looking for data sets", lambda _: form.found.folders(), {})
    found = state.value if state.status == "done" else []
    return {one["name"]: one for one in found if one["data"] == READERS[form.task]}


def _described(folder: Mapping[str, Any]) -> str:
    count = folder["num_classes"]
    classes = f"{count} classes" if count else "classes as its masks show them"
    return f":material/folder: `{folder['path']}` · {classes} · {', '.join(folder['splits'])}"


def _samples(form: Form, state: JobState) -> None:
    value = state.value
    if form.task == "segment" and "overlays" in value:
        masked_samples(value)
        return
    with st.container(horizontal=True, gap="small", key="samples"):
        for image, label in zip(value["images"], value["labels"], strict=False):
            st.image(
                f"data:image/png;base64,{image}",
                caption=str(label),
                alt=f"An image of {label}",
                width=72,
            )
