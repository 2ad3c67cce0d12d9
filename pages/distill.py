"""Distill: goal, pair, method, data, budget, review; what comes out stands beside it."""

from __future__ import annotations

import streamlit as st

from engine.api import JobState, RunSpec, SpecError, in_sentences
from pages.parts import site
from pages.parts.distill import draft
from pages.parts.distill.budget import budget
from pages.parts.distill.catalogue import catalogue_or_wait
from pages.parts.distill.data import data
from pages.parts.distill.form import TRAIN, Form, axes_of, num_runs, teacher_first, wants_baseline
from pages.parts.distill.method import method
from pages.parts.distill.outlook import outlook
from pages.parts.distill.pair import pair
from pages.parts.distill.review import default_name, review
from pages.parts.distill.settings import settings
from pages.parts.distill.start_from import fill, goal
from pages.parts.door import open_studio, outcome, sentence_of


def main() -> None:
    found = open_studio()
    found.warm_up()
    st.title("New distillation")
    catalogue = catalogue_or_wait(found)
    if catalogue is None:
        return
    fill(found)
    form = Form(found, catalogue)
    left, right = st.columns([3, 2], gap="large")
    with left:
        goal(found)
        pair(form)
        method(form)
        data(form)
        budget(form)
        settings(form)
        spec, fault = draft.validated(form.plain())
        review(found, spec)
    with right, st.container(border=True, key="what_you_get"):
        check = outlook(form, spec)
    errors = _told(form, fault, check)
    _foot(form, spec, errors)
    draft.keep(found)
    if form.is_outdated:
        st.rerun()


def _told(form: Form, fault: SpecError | None, check: JobState | None) -> list[str]:
    """Show what is wrong where it was entered; returns the errors, which keep the run back."""
    errors: list[dict[str, str]] = []
    warnings: list[dict[str, str]] = []
    if fault is not None:
        errors.append({"where": fault.where, "message": str(fault)})
    if check is not None and check.status == "failed":
        errors.append({"where": check.where, "message": in_sentences(check.message, check.hint)})
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
            st.caption(f":material/error: {len(errors)} to correct. {sentence_of(errors[0])}")
        elif not form.found.is_working():
            st.caption(":material/lock: Runs cannot be started here; the sidebar says why.")
        elif spec is not None:
            st.caption(default_name(spec))


def _queue(form: Form, spec: RunSpec) -> None:
    experiment = outcome(
        form.found.launch,
        spec,
        name=draft.about("name") or default_name(spec),
        axes=axes_of(form),
        with_baseline=wants_baseline(),
        teacher_first=teacher_first(spec),
    )
    if experiment is not None:
        site.go("watch", experiment=experiment.id)


main()
