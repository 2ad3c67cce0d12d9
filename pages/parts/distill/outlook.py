"""What a run would cost, from the job process: asked for, never waited for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.api import JobState, RunSpec
from pages.charts.words import amount, counted, duration, percent, size, times
from pages.parts.distill.form import Ask, Form, num_runs, trains_teacher
from pages.parts.door import sentence_of


def outlook(form: Form, spec: RunSpec | None) -> JobState | None:
    """Cost and time, from the job process: asked for, never waited for."""
    st.markdown("#### What you will get")
    if spec is None:
        st.caption("A setting of the form needs a correction first.")
        wait_for_jobs(form)
        return None
    plain = json.loads(spec.to_json())
    check = form.ask("Checking that the parts fit", form.found.check, plain)
    is_wanted = st.session_state.get("distill_measure") == spec.hash()
    estimate = None
    if is_wanted:
        estimate = form.ask("Measuring a few real steps", form.found.estimate, plain)
    wait_for_jobs(form)
    if check.status == "done":
        _costs(check.value)
    _published(form, spec)
    if estimate is None:
        if st.button(
            "Measure the time · 5 s", icon=":material/timer:", disabled=check.status != "done"
        ):
            st.session_state["distill_measure"] = spec.hash()
            st.rerun()
    else:
        _estimated(form, estimate)
    return check


def wait_for_jobs(form: Form) -> None:
    """Say what is being worked out, and redraw the page when one of it is done."""
    pending = form.asked
    if not pending:
        return

    def look() -> None:
        if any(_is_done(*job) for job in pending.values()):
            st.rerun()
        st.status(next(iter(pending)), type="step")

    st.fragment(look, run_every=0.7, key="jobs")()


def _is_done(ask: Ask, plain: Mapping[str, Any]) -> bool:
    return ask(plain).status in ("done", "failed")


def _costs(value: Mapping[str, Any]) -> None:
    teacher, student = (value["costs"].get(role) for role in ("teacher", "student"))
    for role, cost in (("Teacher", teacher), ("Student", student)):
        if cost:
            macs = counted(cost["multiply_adds"])
            st.markdown(f"**{role}** · {amount(cost['parameters'])} parameters · {macs} an image")
    if teacher and student and student["multiply_adds"]:
        ratio = teacher["multiply_adds"] / student["multiply_adds"]
        st.markdown(f"The student needs **{times(ratio)} fewer computations**.")
    if student:
        _, height, width = student["input_shape"]
        st.caption(f"Counted at {width} × {height} pixels.")
    data = value.get("data", {})
    if data.get("splits"):
        images = ", ".join(f"{count:,} {split}" for split, count in data["splits"].items())
        st.caption(f"Images: {images}; {len(data.get('classes', ()))} classes.")
    if spots := value.get("spots"):
        st.caption("Taught at: " + ", ".join(spot["name"] for spot in spots))


def _published(form: Form, spec: RunSpec) -> None:
    """What others reached with this pair on this data set."""
    figures, source = form.found.published(spec)
    told: dict[str, list[str]] = {}
    for name, value in figures.items():
        by, _, row = name.partition(": ")
        told.setdefault(by, []).append(f"{row} {percent(value, 2)}")
    for by, rows in told.items():
        st.markdown(f":material/menu_book: **Published by {by}**: {', '.join(rows)}")
    if source:
        st.caption(f"{source}.")


def _estimated(form: Form, state: JobState) -> None:
    if state.status == "failed":
        st.warning(sentence_of(state.message, state.hint), icon=":material/timer_off:")
    elif state.status == "done":
        one, with_own = state.value["seconds"], trains_teacher(form)
        runs = num_runs(form) - with_own
        whole = f"; {runs} runs ≈ {duration(runs * one)} at most" if runs > 1 else ""
        before = " The teacher's own training comes before." if with_own else ""
        st.markdown(f":material/timer: One run takes **≈ {duration(one)}** here{whole}.{before}")
        phases = state.value.get("phases", {})
        if len(phases) > 1:
            parts = (f"{n.replace('_', ' ')} {duration(taken)}" for n, taken in phases.items())
            st.caption(f"Training: {', '.join(parts)}; the rest is measuring.")
        memory, disk = state.value.get("memory_bytes"), state.value.get("disk_bytes")
        if memory and disk:
            st.caption(f"Memory {size(memory)} · disk {size(disk)} a run")
