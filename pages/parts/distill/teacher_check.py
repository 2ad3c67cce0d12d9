"""Whether a teacher's weights fit its net, and how much it knows of the chosen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine.api import JobState
from pages.charts.words import percent
from pages.parts.distill import draft
from pages.parts.distill.form import Form
from pages.parts.door import sentence_of

CHANCE = 1.5  # times what guessing gets right: below it a teacher knows nothing of the data
COUNTS = ("matched", "missing", "unexpected", "wrong_shape")
MOST_NAMED = 12  # classes
ASKED = "teacher_check"  # in the session: what was asked, and for which teacher it holds


def teacher_check(form: Form) -> None:
    """A button; then, as soon as the job process has it, the report."""
    teacher = _spec_of_teacher()
    asked = st.session_state.get(ASKED)
    if asked is None or asked["holds_for"] != teacher:
        if st.button(
            "Check this teacher",
            icon=":material/fact_check:",
            help="Compares the weights with the net, finds the settings that they were made with,"
            " and measures the teacher on the chosen data, where it knows these classes.",
        ):
            st.session_state[ASKED] = {"spec": teacher, "holds_for": teacher, "changed": None}
            st.rerun()
        return
    state = form.ask("Measuring the teacher", form.found.check_teacher, asked["spec"])
    if state.status == "failed":
        _failed(form, state)
    elif state.status == "done":
        if asked["changed"] is None:
            _take_knobs(form, asked, state.value["net"]["knobs"])
        _report(form, state.value, asked["changed"])
    else:
        st.caption(
            ":material/hourglass_top: Reading the weights and measuring the teacher."
            " On a processor this takes some seconds, a minute for a large net."
        )


def _spec_of_teacher() -> dict[str, Any]:
    """A spec of what the report depends on, so that it outlives other changes of the form."""
    teacher = dict(draft.answer("teacher"))
    student = {"name": teacher["name"]}
    spec = {"data": draft.answer("data"), "seed": draft.answer("seed", 0), "task": draft.task()}
    return {**spec, "teacher": teacher, "student": student, "method": {"name": "alone"}}


def _take_knobs(form: Form, asked: dict[str, Any], found: Mapping[str, Any]) -> None:
    """Give the draft's teacher the settings that the weights were made with."""
    schemas = form.entries["nets"].get(draft.answer("teacher.name"), {}).get("knobs", {})
    fitting = {
        knob: value
        for knob, value in found.items()
        if value != schemas.get(knob, {}).get("default")
    }
    now = draft.answer("teacher.knobs", {})
    changed = {knob: value for knob, value in fitting.items() if now.get(knob) != value}
    teacher = {**asked["spec"]["teacher"], "knobs": dict(fitting)}
    holds_for = {**asked["spec"], "teacher": teacher} if changed else asked["spec"]
    st.session_state[ASKED] = {**asked, "holds_for": holds_for, "changed": changed}
    if changed:
        draft.put_many({"teacher.knobs": dict(fitting)})
    st.rerun()


def _failed(form: Form, state: JobState) -> None:
    text = sentence_of(state.message, state.hint)
    form.told.add(text)
    st.error(text, icon=":material/error:")


def _report(form: Form, value: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
    figures = value["figures"]
    if "accuracy" in figures:
        right, enough = figures["accuracy"], CHANCE * _chance(form)
        told = (
            f"The teacher gets **{percent(right)}** of the {value['samples']:,} {value['split']}"
            " images right."
        )
    elif "miou" in figures:
        right, enough = figures["miou"], _chance(form)
        told = (
            f"The teacher's areas cover the true ones by **{percent(right)}** (mean overlap, mIoU)"
            f" on {value['samples']:,} {value['split']} images."
        )
    else:
        right, enough, told = 1.0, 0.0, _of_other_classes(form, value["classes"])
    st.markdown(f":material/fact_check: {told}")
    if right < enough:
        st.warning(
            "That is no better than guessing. Are these weights for this data, its order of"
            " classes and its normalisation?",
            icon=":material/warning:",
        )
    for knob, setting in changed.items():
        st.info(
            f"{knob.replace('_', ' ').capitalize()} is now {setting}:"
            " the weights were made with it.",
            icon=":material/tune:",
        )
    report = value["report"]
    for note in report["notes"]:
        st.caption(f":material/info: {sentence_of(note)}")
    if not report["rows"]:
        return
    counts = [f"{report.get(name, 0)} {name.replace('_', ' ')}" for name in COUNTS]
    st.caption(f"Weights: {' · '.join(counts)}.")
    with st.expander(f"All {len(report['rows'])} weights", icon=":material/list:", key="weights"):
        st.dataframe(_rows(report["rows"]), hide_index=True, alt="Weights of net and file")


def _of_other_classes(form: Form, classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:MOST_NAMED]) + (", …" if classes[MOST_NAMED:] else "")
    told = f"The teacher knows **{len(classes)} other classes** ({shown})"
    if form.teacher_may_know_others:
        return f"{told}; its front is what is taught. So no accuracy is measured."
    return f"{told}. This method needs a teacher of the data's own classes."


def _chance(form: Form) -> float:
    """What guessing gets right; 0 while the classes are unknown."""
    state = form.found.samples(draft.answer("data"))
    classes = state.value.get("classes", ()) if state.status == "done" else ()
    return 1 / len(classes) if classes else 0.0


def _rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What does not fit comes first."""
    return [
        {
            "Status": row["status"].capitalize(),
            "In the net": row["key"] or "-",
            "In the file": row["stored"] or "-",
            "Shape": _shape(row["shape"]) if row["key"] else "-",
            "Shape in the file": _shape(row["stored_shape"]) if row["stored"] else "-",
        }
        for row in sorted(rows, key=lambda row: row["status"] == "matched")
    ]


def _shape(sides: Sequence[int]) -> str:
    return " × ".join(str(side) for side in sides) or "one number"
