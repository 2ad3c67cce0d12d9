"""Where a form begins: a preset, a spec from elsewhere, or what was there at the last visit."""

from __future__ import annotations

import streamlit as st

from engine.api import Preset, RunSpec, SpecError, Studio, parse_spec
from pages.charts.compare import differences
from pages.parts.distill import draft
from pages.parts.distill.defaults import GOALS
from pages.parts.door import sentence


def fill(found: Studio) -> None:
    """Fill the form: from the address, from another page, else from the last visit."""
    draft.begin(found)
    if text := st.session_state.pop("distill_import", ""):
        draft.refill(parse_spec(text).model_dump(mode="json"), {})
    task = st.query_params.get("goal", "")
    if task in GOALS:
        if task != draft.task():
            draft.choose_task(task)
        del st.query_params["goal"]
    name = st.query_params.get("preset", "")
    presets = {preset.name: preset for preset in found.presets()}
    if name in presets:
        draft.take_preset(presets[name])
        del st.query_params["preset"]  # taken once: a reload keeps what was changed since
    elif name:
        known = ", ".join(presets) or "none"
        st.warning(f"There is no preset {name!r}. Known: {known}.", icon=":material/search_off:")


def goal(found: Studio) -> None:
    """Choose a task and a preset for it, take a spec, or begin anew."""
    st.subheader("1 · Goal")
    _task()
    presets = {
        preset.name: preset for preset in found.presets() if _task_of(preset) == draft.task()
    }
    chosen = st.selectbox(
        "Start from",
        ["", *presets],
        format_func=lambda name: presets[name].title if name else "My own settings",
        key=draft.key_for("about.preset", _of_form(presets)),
        help="Type a part of a name to find it: a net, a data set, SAKD, RepDistiller, spirit.",
    )
    with st.container(horizontal=True):
        with st.popover("Import", icon=":material/upload:"):
            _import()
        if st.button("Reset", icon=":material/restart_alt:", help="Back to the preset's settings"):
            _take(presets.get(chosen) or _first(presets))
    if chosen != draft.about("preset"):
        if chosen:
            _take(presets[chosen])
        draft.put_about("preset", "")
    if chosen and presets[chosen].note:
        with st.expander("About this preset", icon=":material/info:", key="preset_note"):
            st.markdown(presets[chosen].note)
            if presets[chosen].source:
                st.caption(f"Source: {presets[chosen].source}.")


def _task() -> None:
    chosen = st.segmented_control(
        "What the student shall do",
        list(GOALS),
        format_func=lambda task: GOALS[task],
        key=draft.key_for("task", draft.task()),
        required=True,
        help="Classify: say what a picture shows. Segment: say what each of its pixels shows, from"
        " a few pictures with masks. Going back and forth loses nothing.",
    )
    if chosen and chosen != draft.task():
        draft.choose_task(chosen)
        st.rerun()


def _task_of(preset: Preset) -> str:
    return str(preset.base.get("task", "classify"))


def _first(presets: dict[str, Preset]) -> Preset | None:
    """What a form begins with: for pictures the first preset, for scenes the page's own."""
    return next(iter(presets.values()), None) if draft.task() == "classify" else None


def preset_differences(found: Studio, spec: RunSpec) -> None:
    """What was changed since a preset filled the form."""
    preset = {preset.name: preset for preset in found.presets()}.get(draft.about("preset"))
    if preset is None:
        return
    distiller = spec.distiller.name if spec.distiller else ""
    rows = differences({"Preset": draft.taught_spec(preset, distiller), "Here": spec})
    if not rows:
        st.caption(f":material/check: All settings are those of the preset “{preset.title}”.")
        return
    words = "1 setting differs" if len(rows) == 1 else f"{len(rows)} settings differ"
    with st.expander(
        f"{words} from the preset", icon=":material/difference:", key="preset_differences"
    ):
        st.dataframe(rows, hide_index=True, alt="Settings that differ from the preset")


def _of_form(presets: dict[str, Preset]) -> str:
    name: str = draft.about("preset")
    return name if name in presets else ""


def _take(preset: Preset | None) -> None:
    if preset is None:
        draft.refill({"task": draft.task()}, {})
    else:
        draft.take_preset(preset)
    st.rerun()


def _import() -> None:
    text = st.text_area("A spec as YAML or JSON", key="distill_yaml", height=180)
    if st.button("Take it", disabled=not text):
        try:
            spec = parse_spec(text)
        except SpecError as error:
            st.error(sentence(error), icon=":material/warning:")
            return
        draft.refill(spec.model_dump(mode="json"), {})
        st.rerun()
