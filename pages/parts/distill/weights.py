"""What the teacher knows: shipped weights, a file, torchvision's own, a run, or nothing yet."""

from __future__ import annotations

import streamlit as st

from engine.api import Studio, Summary
from pages.charts.table import accuracy, title
from pages.charts.words import percent
from pages.parts.distill import draft
from pages.parts.distill.form import TRAIN, Form
from pages.parts.distill.teacher_check import teacher_check

FILE = "file"
NO_FILE = "(no file given)"


def weights(form: Form) -> None:
    """Ask where the teacher's weights come from, and check them where one likes to."""
    _source(form.found)
    form.mark("teacher.weights")
    chosen = draft.answer("teacher.weights")
    if chosen == TRAIN:
        _epochs()
    elif chosen != NO_FILE:
        teacher_check(form)


def _source(found: Studio) -> None:
    runs = _trained(found.runs())
    shipped = _shipped(found)
    now = draft.answer("teacher.weights", TRAIN)
    options = [*shipped, *(f"run:{run}" for run in runs), TRAIN, "DEFAULT", FILE]
    if now.startswith(("shipped:", "run:")) and now not in options:
        now = TRAIN  # of another net or data set, or gone
    is_file = now not in options
    key = draft.key_for(_path("source"), FILE if is_file else now)
    words = {
        **{name: f"Shipped: {name.removeprefix('shipped:')}" for name in shipped},
        **{f"run:{run_id}": _of_run(run) for run_id, run in runs.items()},
        TRAIN: "None yet: train the teacher, then distil",
        "DEFAULT": "torchvision's own (downloaded)",
        FILE: "A file on this machine",
    }
    chosen = st.selectbox(
        "What the teacher knows",
        options,
        format_func=lambda name: words.get(name, name),
        key=key,
        help="A teacher without training would teach noise.",
    )
    if chosen == FILE:
        path = st.text_input(
            "Path of the weights",
            key=draft.key_for(_path("file"), now if is_file and now != NO_FILE else ""),
            placeholder="/data/resnet32x4.pth",
            help="safetensors, or a PyTorch checkpoint, read without running code from it.",
        )
        chosen = (path or "").strip() or NO_FILE
    draft.put("teacher.weights", chosen)


def _epochs() -> None:
    epochs = st.number_input(
        "Epochs for the teacher",
        1,
        2000,
        key=draft.key_for("about.teacher_epochs", int(draft.about("teacher_epochs"))),
    )
    draft.put_about("teacher_epochs", epochs)
    own = [
        f"{name.replace('_', ' ')} {value}"
        for name, value in draft.about("teacher_schedule").items()
        if value != draft.answer(f"schedule.{name}", value)
    ]
    st.caption(
        "The teacher is trained first, on the same data, then the student."
        + (f" It keeps the preset's {', '.join(own)}." if own else "")
    )


def _path(what: str) -> str:
    return f"teacher.{what}@{draft.answer('teacher.name')}"


def _trained(runs: tuple[Summary, ...]) -> dict[str, Summary]:
    """Finished runs that trained such a net on such data."""
    return {
        run.id: run
        for run in runs
        if run.status == "finished"
        and run.labels.student == draft.answer("teacher.name")
        and run.labels.data == draft.answer("data.name")
    }


def _shipped(found: Studio) -> list[str]:
    """Weights that come with the program for this net on this data, named DATA_NET."""
    wanted = f"{draft.answer('data.name')}_{draft.answer('teacher.name')}"
    return [f"shipped:{name}" for name in found.shipped() if name == wanted]


def _of_run(run: Summary) -> str:
    value = accuracy(run)
    return f"Run: {title(run)}" + (f", {percent(value)}" if value is not None else "")
