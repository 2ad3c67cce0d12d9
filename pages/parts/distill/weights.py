"""What the teacher knows: shipped weights, a file, torchvision's own, a run, or nothing yet."""

from __future__ import annotations

import streamlit as st

from engine.api import Summary
from pages.charts.headline import headline_of
from pages.charts.table import accuracy, title
from pages.charts.words import percent
from pages.parts.distill import draft
from pages.parts.distill.form import TRAIN, Form
from pages.parts.distill.teacher_check import teacher_check

FILE = "file"
NO_FILE = "(no file given)"
PLACEHOLDERS = {
    "classify": "/data/resnet32x4.pth",
    "segment": "/data/deeplabv3_resnet50_coco-cd0a2569.pth",
}


def weights(form: Form) -> None:
    """Ask where the teacher's weights come from, and check them where one likes to."""
    _source(form)
    form.mark("teacher.weights")
    chosen = draft.answer("teacher.weights")
    if chosen == TRAIN:
        _epochs()
    elif chosen != NO_FILE:
        teacher_check(form)


def _source(form: Form) -> None:
    runs = _trained(form)
    shipped = _shipped(form)
    now = draft.answer("teacher.weights", TRAIN)
    options = [*shipped, *(f"run:{run}" for run in runs), TRAIN, *_public(form, now), FILE]
    if now.startswith(("shipped:", "run:")) and now not in options:
        now = TRAIN  # of another net or data set, or gone
    if form.is_new_teacher and form.task == "segment":
        now = next(iter([*shipped, *_public(form, now), TRAIN]))  # four labels train no teacher
    is_file = now not in options
    key = draft.key_for(_path("source"), FILE if is_file else now)
    if st.session_state[key] not in options:
        st.session_state[key] = now
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
            placeholder=PLACEHOLDERS[form.task],
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


def _trained(form: Form) -> dict[str, Summary]:
    """Finished runs that trained such a net, on such data unless a front may be taught alone."""
    return {
        run.id: run
        for run in form.found.runs()
        if run.status == "finished"
        and run.labels.student == draft.answer("teacher.name")
        and (form.task == "segment" or run.labels.data == draft.answer("data.name"))
    }


def _shipped(form: Form) -> list[str]:
    """Weights that come with the program for this net, named DATA_NET.

    Of this data set, unless a front may be taught alone; whether the classes fit is checked.
    """
    net = draft.answer("teacher.name")
    wanted = f"{draft.answer('data.name')}_{net}"
    return [
        f"shipped:{name}"
        for name in form.found.shipped()
        if name == wanted or (form.task == "segment" and name.endswith(f"_{net}"))
    ]


def _public(form: Form, now: str) -> list[str]:
    """Whether the library that the net comes from offers weights of its own."""
    entry = form.entries["nets"].get(draft.answer("teacher.name"), {})
    has_some = bool(entry.get("facts", {}).get("default_weights")) or now == "DEFAULT"
    return ["DEFAULT"] if has_some else []


def _of_run(run: Summary) -> str:
    value = accuracy(run)
    figure = "" if run.headline == "accuracy" else f" {headline_of(run.headline).short}"
    return f"Run: {title(run)}" + (f", {percent(value)}{figure}" if value is not None else "")
