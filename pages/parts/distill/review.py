"""What was asked for, in other words: its name, its difference to the preset, the file."""

from __future__ import annotations

import streamlit as st

from engine.api import RunSpec, Studio
from pages.parts.distill import draft
from pages.parts.distill.look_alike import SPIRIT, short_name
from pages.parts.distill.start_from import preset_differences


def review(found: Studio, spec: RunSpec | None) -> None:
    """Name it and read it once more."""
    st.subheader("6 · Review")
    name = st.text_input(
        "Name", key=draft.key_for("about.name", draft.about("name")), max_chars=120,
        placeholder=default_name(spec),
    )  # fmt: skip
    draft.put_about("name", name or "")
    if spec is None:
        return
    preset_differences(found, spec)
    with st.expander("The same as a file", icon=":material/code:", key="as_file"):
        st.code(spec.to_yaml(), language="yaml")
        st.download_button(
            "Save spec.yaml", spec.to_yaml(), "spec.yaml", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip
        st.code("python -m engine run spec.yaml", language="bash")


def default_name(spec: RunSpec | None) -> str:
    """Who is taught by whom, and how."""
    if spec is None:
        return "Distillation"
    pair = f"{spec.teacher.name} → {spec.student.name}" if spec.teacher else spec.student.name
    how = spec.distiller.name.upper() if spec.distiller else spec.method.name
    if spec.method.name == SPIRIT:
        how = short_name(spec.method.knobs)
    return f"{pair} · {how}"
