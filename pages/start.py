"""Start: from nothing to a first distilled net in a minute."""

from __future__ import annotations

import streamlit as st

from engine.api import Studio, Summary
from pages.charts.headline import headline_of
from pages.charts.table import accuracy, gains, title
from pages.charts.words import percent, points, size, status_text
from pages.parts import site
from pages.parts.demo import demo_button
from pages.parts.door import open_studio, tell_trouble

RECENT = 6


def main() -> None:
    found = open_studio()
    found.warm_up()
    tell_trouble(found)
    runs = found.runs()
    with st.container(border=True, key="hero"):
        _welcome(found, runs)
    _goals(found)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _recent(runs)
    with right:
        _ready_check(found)


def _welcome(found: Studio, runs: tuple[Summary, ...]) -> None:
    st.title("Make a big model teach a small one")
    st.markdown(
        "A large network, the **teacher**, shows a small one, the **student**, what to look at."
        " The student becomes nearly as good and needs far fewer computations."
    )
    with st.container(horizontal=True):
        demo_button(found, "Try it now · 1 min", is_main=True)
        if st.button("New distillation", icon=":material/science:"):
            site.go("distill")
        if runs and st.button("Open last run", icon=":material/history:"):
            _open(runs[0])


def _goals(found: Studio) -> None:
    st.subheader("What shall the student do?")
    pictures, scenes = st.columns(2)
    with pictures.container(border=True, height="stretch", key="goal_classify"):
        st.markdown("**:material/category: Classify pictures**")
        st.markdown("It says what a picture shows: a cat, a car, a ring.")
        if st.button("Set it up", icon=":material/tune:", key="set_up_classify"):
            site.go("distill", goal="classify")
    with scenes.container(border=True, height="stretch", key="goal_segment"):
        st.markdown("**:material/landscape: Segment scenes**")
        st.markdown(
            "It says what each pixel of a scene belongs to: road, sky, car. A few labelled pictures"
            " are enough; a teacher from elsewhere helps (spirit distillation)."
        )
        with st.container(horizontal=True):
            demo_button(found, "Try it on drawn streets · 2 min", preset="spirit-demo")
            if st.button("Set it up", icon=":material/tune:", key="set_up_segment"):
                site.go("distill", goal="segment")


def _recent(runs: tuple[Summary, ...]) -> None:
    st.subheader("Recent runs")
    if not runs:
        st.caption("Your runs will appear here. The demo is a good first one.")
    gained = gains(runs)
    for run in runs[:RECENT]:
        with st.container(
            border=True,
            horizontal=True,
            wrap=False,
            horizontal_alignment="distribute",
            vertical_alignment="center",
        ):
            st.markdown(f"**{title(run)}**  \n{_told(run, gained.get(run.id))}")
            if st.button("Open", key=f"open_{run.id}", type="tertiary"):
                _open(run)
    if len(runs) > RECENT:
        site.link("runs", f"All {len(runs)} runs", icon=":material/table_rows:")


def _told(run: Summary, gain: float | None) -> str:
    parts = [status_text(run.status)]
    if run.status in ("running", "paused", "stopping", "interrupted", "stopped"):
        parts.append(percent(run.progress, 0))
    if (value := accuracy(run)) is not None:
        parts.append(headline_of(run.headline).told(value))
    if gain is not None:
        parts.append(f"{points(gain)} from teaching")
    if run.status in ("failed", "unreadable") and run.message:
        parts.append(run.message)
    return " · ".join(parts)


def _open(run: Summary) -> None:
    is_over = run.status in ("finished", "stopped", "failed", "interrupted", "unreadable")
    site.go("run" if is_over else "watch", run=run.id)


def _ready_check(found: Studio) -> None:
    st.subheader("Ready check")
    machine = found.machine()
    gpu = f"{machine.gpus} GPU" if machine.gpus == 1 else f"{machine.gpus} GPUs"
    lines = [
        (found.is_working(), "Engine ready", "Engine runs in another server"),
        (machine.gpus > 0, gpu, "No GPU: the demo needs none; large runs take long on a CPU"),
        (machine.memory_free > 2e9, *2 * (f"Memory: {size(machine.memory_free)} free",)),
        (machine.disk_free > 2e9, *2 * (f"Disk: {size(machine.disk_free)} free",)),
    ]
    for is_fine, good, poor in lines:
        icon = ":green[:material/check_circle:]" if is_fine else ":orange[:material/info:]"
        st.markdown(f"{icon} {good if is_fine else poor}")
    st.caption(f"{machine.cores} processor cores · runs are kept in `{machine.workspace}`")


main()
