"""Distill: goal, pair, method, data, budget, review; what comes out stands beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.api import JobState, RunSpec, SpecError, Studio, parse_spec
from pages.parts import draft, site
from pages.parts.door import is_expert, open_studio, outcome
from pages.parts.form import TRAIN, Entry, Form, axes_of, num_runs, teacher_first
from pages.parts.knobs import part_knobs, setting_knobs
from pages.parts.outlook import outlook
from pages.parts.weights_choice import weights_choice

BUDGETS = {
    "Quick · 10": {"schedule.epochs": 10, "schedule.decay": "cosine"},
    "Normal · 60": {"schedule.epochs": 60, "schedule.decay": "cosine"},
    "Paper · 240": {
        "schedule.epochs": 240,
        "schedule.decay": "step",
        "schedule.milestones": [150, 180, 210],
        "schedule.lr": 0.05,
        "schedule.batch": 64,
    },
}
RUN_SETTINGS = (
    "seed",
    "device",
    "threads",
    "precision",
    "evaluate_every",
    "save_every",
    "select_on",
)


def main() -> None:
    found = open_studio()
    found.warm_up()
    st.title("New distillation")
    catalogue = found.catalogue()
    if catalogue is None:
        _wait_for_catalogue(found)
        return
    draft.begin(found)
    _taken_from_elsewhere()
    form = Form(found, catalogue)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _goal(form)
        _pair(form)
        _method(form)
        _data(form)
        _budget(form)
        spec, fault = draft.validated(form.plain())
        _review(spec)
    with right, st.container(border=True, key="what_you_get"):
        check = outlook(form, spec)
    errors = _told(form, fault, check)
    _foot(form, spec, errors)
    draft.keep(found)


def _wait_for_catalogue(found: Studio) -> None:
    """The list of methods comes from the job process; at first start that takes seconds."""

    def look() -> None:
        if found.catalogue() is not None:
            st.rerun()
        st.skeleton(height=320)

    st.caption("Reading the list of methods and nets. This takes a few seconds after a start.")
    st.fragment(look, run_every=1.0, key="catalogue")()


def _taken_from_elsewhere() -> None:
    """A spec that another page sends here."""
    if text := st.session_state.pop("distill_import", ""):
        spec = parse_spec(text)
        draft.refill(spec.model_dump(mode="json"), {})


def _goal(form: Form) -> None:
    st.subheader("1 · Goal")
    presets = {preset.name: preset for preset in form.found.presets()}
    names = ["", *presets]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Start from",
            names,
            format_func=lambda name: presets[name].title if name else "My own settings",
            key=draft.key_for("about.preset", draft.about("preset")),
            width=340,
        )
        with st.popover("Import", icon=":material/upload:"):
            _import()
        if st.button("Reset", icon=":material/restart_alt:", help="Back to the first preset"):
            _reset(form.found)
    if chosen != draft.about("preset"):
        if chosen:
            draft.take_preset(presets[chosen])
            st.rerun()
        draft.put_about("preset", "")
    if chosen and presets[chosen].note:
        with st.expander("About this preset", icon=":material/info:", key="preset_note"):
            st.markdown(presets[chosen].note)
            if presets[chosen].source:
                st.caption(f"Source: {presets[chosen].source}.")


def _import() -> None:
    text = st.text_area("A spec as YAML or JSON", key="distill_yaml", height=180)
    if st.button("Take it", disabled=not text):
        try:
            spec = parse_spec(text)
        except SpecError as error:
            st.error(str(error), icon=":material/warning:")
            return
        draft.refill(spec.model_dump(mode="json"), {})
        st.rerun()


def _reset(found: Studio) -> None:
    presets = found.presets()
    if presets:
        draft.take_preset(presets[0])
    else:
        draft.refill({}, {})
    st.rerun()


def _pair(form: Form) -> None:
    st.subheader("2 · Pair")
    reasons = _reasons(form)
    teacher, student = st.columns(2)
    with teacher:
        if "teacher" in form.needs:
            form.select("nets", "teacher", "Teacher (large)")
            weights_choice(form.found, form.mark)
            if is_expert():
                _knobs(form, "nets", "teacher")
        else:
            st.caption("This method needs no teacher.")
    with student:
        entries = form.entries["nets"]
        possible = [name for name in entries if not reasons.get(name)]
        impossible = [name for name in entries if reasons.get(name)]
        form.select(
            "nets",
            "student",
            "Student (small)",
            options=possible + impossible,
            words=lambda name: f"✕ {name}: not with this teacher" if reasons.get(name) else
            entries[name]["title"],
        )  # fmt: skip
        if reason := reasons.get(draft.answer("student.name")):
            st.error(f"This pair cannot be taught this way. {reason}", icon=":material/block:")
        if is_expert():
            _knobs(form, "nets", "student")


def _reasons(form: Form) -> Mapping[str, str]:
    """Net -> why it cannot be the student; empty until that is known."""
    if "teacher" not in form.needs:
        return {}
    spec, _ = draft.validated(form.plain())
    if spec is None:
        return {}
    plain = json.loads(spec.to_json())
    form.found.check(plain)  # first in the line: it decides whether the run may be queued
    state = form.ask("Looking for nets that fit", form.found.pairs, plain)
    return state.value if state.status == "done" else {}


def _method(form: Form) -> None:
    st.subheader("3 · Method")
    if is_expert():
        form.select("methods", "method", "Method")
        _about(form, "methods", "method")
        _knobs(form, "methods", "method")
        for kind, part, label in (
            ("distillers", "distiller", "What is copied"),
            ("policies", "policy", "Where it is taught"),
        ):
            if part in form.needs:
                form.select(kind, part, label)
                _about(form, kind, part)
                _knobs(form, kind, part)
        return
    if "teacher" in form.needs or draft.answer("method.name") == "alone":
        is_taught = st.toggle(
            "A teacher helps",
            key=draft.key_for("guided.taught", "teacher" in form.needs),
            help="Off: the student learns from the labels alone, as a baseline.",
        )
        if is_taught != ("teacher" in form.needs):
            taught = next(
                (n for n, e in form.entries["methods"].items() if "teacher" in _needs(e)), "alone"
            )
            draft.put_many({"method.name": taught if is_taught else "alone", "method.knobs": {}})
            st.rerun()
    form.mark("method")
    if "distiller" in form.needs:
        form.select("distillers", "distiller", "What the student copies, besides the answers")
        _about(form, "distillers", "distiller")
    if "policy" in form.needs:
        is_learned = st.toggle(
            "Choose where to teach, for each image",
            key=draft.key_for("guided.learned", draft.answer("policy.name") == "learned"),
            help="Spot-adaptive: a small policy learns at which layers teaching helps an image.",
        )
        if is_learned != (draft.answer("policy.name") == "learned"):
            draft.put("policy", {"name": "learned" if is_learned else "all", "knobs": {}})
        form.mark("policy")


def _needs(entry: Entry) -> tuple[str, ...]:
    return tuple(entry.get("facts", {}).get("needs", ()))


def _about(form: Form, kind: str, part: str) -> None:
    entry = form.entries[kind].get(draft.answer(f"{part}.name"), {})
    if entry:
        st.caption(f"{entry['help']} Source: {entry['source']}.")


def _knobs(form: Form, kind: str, part: str) -> None:
    name = draft.answer(f"{part}.name")
    schemas = form.entries[kind].get(name, {}).get("knobs", {})
    if schemas:
        with st.expander(f"Settings of {name}", icon=":material/tune:", key=f"knobs_{part}"):
            part_knobs(part, name, schemas, form.mark)


def _data(form: Form) -> None:
    st.subheader("4 · Data")
    form.select("datasets", "data", "Images to learn from")
    _about(form, "datasets", "data")
    entry = form.entries["datasets"].get(draft.answer("data.name"), {})
    needs_path = any("path" in knob or "folder" in knob for knob in entry.get("knobs", {}))
    if is_expert() or needs_path:
        _knobs(form, "datasets", "data")
    state = form.ask("Fetching sample images", form.found.samples, draft.answer("data"))
    if state.status == "done":
        _samples(state.value)
    elif state.status == "failed":
        st.caption(f":material/info: No pictures to show: {state.message} {state.hint}")


def _samples(value: Mapping[str, Any]) -> None:
    with st.container(horizontal=True, gap="small", key="samples"):
        for image, label in zip(value["images"], value["labels"], strict=False):
            st.image(f"data:image/png;base64,{image}", caption=str(label), width=72)


def _budget(form: Form) -> None:
    st.subheader("5 · Budget")
    now = next(
        (n for n, c in BUDGETS.items() if c["schedule.epochs"] == draft.answer("schedule.epochs")),
        None,
    )
    chosen = st.segmented_control(
        "How long the student learns, in epochs",
        list(BUDGETS),
        key=draft.key_for("guided.budget", now),
    )
    if chosen and chosen != now:
        draft.put_many(BUDGETS[chosen])
        st.rerun()
    if now is None:
        st.caption(f"{draft.answer('schedule.epochs', 60)} epochs.")
    form.mark("schedule")
    baseline = st.toggle(
        "Also train the student alone",
        help="Under the same conditions, so that the gain from teaching is measured.",
        key=draft.key_for("about.with_baseline", draft.about("with_baseline")),
        disabled="teacher" not in form.needs,
    )
    draft.put_about("with_baseline", baseline)
    if not is_expert():
        return
    schema = RunSpec.model_json_schema()
    schedule = schema["$defs"]["Schedule"]["properties"]
    with st.expander("Schedule", icon=":material/tune:", key="knobs_schedule"):
        setting_knobs(schedule, schedule, form.mark, before="schedule.")
    with st.expander("Run", icon=":material/tune:", key="knobs_run"):
        setting_knobs(schema["properties"], RUN_SETTINGS, form.mark)
    left, right = st.columns(2)
    seeds = left.text_input(
        "Seeds",
        key=draft.key_for("about.seeds", ", ".join(str(seed) for seed in draft.about("seeds"))),
        placeholder="1, 2, 3",
        help="One run for each; empty: the one seed above.",
    )
    words = [word.strip() for word in (seeds or "").split(",")]
    draft.put_about("seeds", list(dict.fromkeys(int(word) for word in words if word.isdecimal())))
    if "policy" in form.needs:
        policies = right.multiselect(
            "Policies to compare",
            list(form.entries["policies"]),
            key=draft.key_for("about.policies", draft.about("policies")),
            help="One run for each, and for each seed; empty: the one policy above.",
        )
        draft.put_about("policies", policies)


def _review(spec: RunSpec | None) -> None:
    st.subheader("6 · Review")
    name = st.text_input(
        "Name", key=draft.key_for("about.name", draft.about("name")), max_chars=120,
        placeholder=_default_name(spec),
    )  # fmt: skip
    draft.put_about("name", name or "")
    if spec is None:
        return
    with st.expander("The same as a file", icon=":material/code:", key="as_file"):
        st.code(spec.to_yaml(), language="yaml")
        st.download_button(
            "Save spec.yaml", spec.to_yaml(), "spec.yaml", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip
        st.code("python -m engine run spec.yaml", language="bash")


def _default_name(spec: RunSpec | None) -> str:
    if spec is None:
        return "Distillation"
    pair = f"{spec.teacher.name} → {spec.student.name}" if spec.teacher else spec.student.name
    how = spec.distiller.name.upper() if spec.distiller else spec.method.name
    return f"{pair} · {how}"


def _told(form: Form, fault: SpecError | None, check: JobState | None) -> list[str]:
    """Show what is wrong where it was entered; returns the errors, which keep the run back."""
    errors: list[dict[str, str]] = []
    warnings: list[dict[str, str]] = []
    if fault is not None:
        errors.append({"where": fault.where, "message": str(fault)})
    if check is not None and check.status == "failed":
        errors.append({"where": check.where, "message": f"{check.message} {check.hint}".strip()})
    elif check is not None and check.status == "done":
        errors, warnings = list(check.value["errors"]), list(check.value["warnings"])
    if draft.answer("teacher.weights") == TRAIN:  # it will have weights by then
        errors = [error for error in errors if error.get("where") != "teacher.weights"]
    for text in form.show_faults(errors, "error"):
        st.error(text, icon=":material/error:")
    for text in form.show_faults(warnings, "warning"):
        st.warning(text, icon=":material/warning:")
    return [error["message"] for error in errors]


def _foot(form: Form, spec: RunSpec | None, errors: list[str]) -> None:
    runs = num_runs(form)
    with st.bottom, st.container(horizontal=True, vertical_alignment="center", key="foot"):
        label = "Queue the run" if runs == 1 else f"Queue {runs} runs"
        is_ready = spec is not None and not errors and form.found.is_working()
        is_asked = st.button(
            label,
            type="primary",
            icon=":material/play_arrow:",
            shortcut="Ctrl+Shift+Enter",  # Ctrl+Enter also ends typing in a text area
            disabled=not is_ready,
        )
        if is_asked and spec is not None:
            _queue(form, spec)
        if errors:
            st.caption(f":material/error: {len(errors)} to correct: {errors[0]}")
        elif spec is not None:
            st.caption(_default_name(spec))


def _queue(form: Form, spec: RunSpec) -> None:
    experiment = outcome(
        form.found.launch,
        spec,
        name=draft.about("name") or _default_name(spec),
        axes=axes_of(form),
        with_baseline=bool(draft.about("with_baseline")) and "teacher" in form.needs,
        teacher_first=teacher_first(spec),
    )
    if experiment is not None:
        site.go("watch", experiment=experiment.id)


main()
