"""The Distill form of one script run: choices, what is wrong with them, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from engine.api import JobState, RunSpec, Studio
from pages.parts.distill import draft
from pages.parts.distill.knobs import part_knobs
from pages.parts.door import sentence_of

Entry = Mapping[str, Any]
Ask = Callable[[Mapping[str, Any]], JobState]
OF_ONE_TASK = ("nets", "datasets", "methods")  # the other kinds are used by methods alone
TRAIN = "none"  # a teacher without weights is trained first


class Form:
    """The page of one script run: where each setting has room for what is wrong with it."""

    def __init__(self, found: Studio, catalogue: Mapping[str, list[Entry]]) -> None:
        self.found = found
        self.task = draft.task()
        self.entries = {
            kind: {entry["name"]: entry for entry in entries if self._fits(kind, entry)}
            for kind, entries in catalogue.items()
        }
        self.slots: dict[str, Any] = {}
        self.told: set[str] = set()  # faults that a part of the page shows itself
        self.asked: dict[str, tuple[Ask, Mapping[str, Any]]] = {}
        self.is_new_teacher = False  # chosen in this script run
        self.is_outdated = False  # a choice has changed what was drawn before it

    def _fits(self, kind: str, entry: Entry) -> bool:
        """Whether a part is for the task of the form."""
        if kind not in OF_ONE_TASK:
            return True
        return entry.get("facts", {}).get("task", "classify") in (self.task, "any")

    def ask(self, doing: str, ask: Ask, plain: Mapping[str, Any]) -> JobState:
        """Ask the job process for something; `wait_for_jobs` redraws the page with the answer.

        What is not there now is waited for, also where it comes before the page is drawn.
        """
        state = ask(plain)
        if state.status not in ("done", "failed"):
            self.asked[doing] = (ask, plain)
        return state

    def mark(self, path: str) -> None:
        """Leave room for a message about this setting."""
        self.slots[path] = st.container()

    def show_faults(self, faults: list[dict[str, str]], kind: str) -> list[str]:
        """Each message at its setting; returns those that belong to none on the page."""
        homeless = []
        for fault in faults:
            where, text = fault.get("where", ""), sentence_of(fault["message"])
            if text in self.told:
                continue
            home = max((p for p in self.slots if _is_below(where, p)), key=len, default=None)
            if home is None:
                homeless.append(text)
            elif kind == "error":
                self.slots[home].error(text, icon=":material/error:")
            else:
                self.slots[home].warning(text, icon=":material/warning:")
        return homeless

    @property
    def needs(self) -> tuple[str, ...]:
        """What the chosen method needs beside a student, and what it was given of what it may."""
        extras = set(draft.about("extras"))
        return (*needs_of(self.method), *(part for part in self.may if part in extras))

    @property
    def method(self) -> Entry:
        """The catalogue's entry of the chosen method."""
        return self.entries["methods"].get(draft.answer("method.name"), {})

    @property
    def may(self) -> tuple[str, ...]:
        """What the chosen method can do without."""
        return tuple(self.method.get("facts", {}).get("may", ()))

    @property
    def teacher_may_know_others(self) -> bool:
        """Whether the chosen method can be taught by a teacher of other classes."""
        return self.method.get("facts", {}).get("teacher_classes") == "any"

    def plain(self) -> dict[str, Any]:
        return draft.plain_spec(self.needs)

    def select(self, kind: str, path: str, label: str, **more: Any) -> str:
        """A choice among registered parts; another part begins with its own defaults."""
        entries = self.entries[kind]
        before = draft.answer(f"{path}.name")
        options = list(entries) if before in entries or not before else [before, *entries]
        options = list(more.pop("options", options))
        if before not in options:
            before = None
        words = more.pop("words", lambda name: entries.get(name, {}).get("title", name))
        key = draft.key_for(f"{path}.name", before or options[0])
        if st.session_state[key] not in options:
            st.session_state[key] = options[0]
        chosen = st.selectbox(label, options, format_func=words, key=key, **more)
        if chosen != before:
            draft.put(f"{path}.name", chosen)
            draft.put(f"{path}.knobs", {})
            if path == "method":
                draft.put_about("extras", [])
                self.is_outdated = True
            if path in ("teacher", "student"):
                draft.put(f"{path}.weights", TRAIN)
            if path == "teacher":
                self.is_new_teacher = True
        self.mark(path)
        return chosen

    def about(self, kind: str, part: str) -> None:
        """What the chosen part does, and who says so."""
        if entry := self.entries[kind].get(draft.answer(f"{part}.name")):
            st.caption(f"{entry['help']} Source: {entry['source']}.")

    def knobs(self, kind: str, part: str) -> None:
        """Every setting of the chosen part."""
        name = draft.answer(f"{part}.name")
        if schemas := self.entries[kind].get(name, {}).get("knobs", {}):
            with st.expander(f"Settings of {name}", icon=":material/tune:", key=f"knobs_{part}"):
                part_knobs(part, name, schemas, self.mark)


def needs_of(entry: Entry) -> tuple[str, ...]:
    """What a method of the catalogue needs beside a student."""
    return tuple(entry.get("facts", {}).get("needs", ()))


def axes_of(form: Form) -> dict[str, tuple[Any, ...]]:
    """What the runs differ in."""
    axes: dict[str, tuple[Any, ...]] = {}
    if len(draft.about("seeds")) > 0:
        axes["seed"] = tuple(draft.about("seeds"))
    if "policy" in form.needs and len(draft.about("policies")) > 0:
        axes["policy"] = tuple(draft.about("policies"))
    return axes


def num_runs(form: Form) -> int:
    """How many runs the form asks for, the baselines and the teacher's own included."""
    axes = axes_of(form)
    seeds = len(axes.get("seed", (0,)))
    taught = seeds * len(axes.get("policy", (0,)))
    return taught + (seeds if wants_baseline() else 0) + int(trains_teacher(form))


def trains_teacher(form: Form) -> bool:
    """Whether the teacher is trained first, by a run of its own."""
    return "teacher" in form.needs and bool(draft.answer("teacher.weights") == TRAIN)


def has_baseline() -> bool:
    """Whether the student alone is another run than the one that is set up."""
    return draft.answer("method.name") != "alone"


def wants_baseline() -> bool:
    return bool(draft.about("with_baseline")) and has_baseline()


def teacher_first(spec: RunSpec) -> RunSpec | None:
    """The run that trains the teacher, where it has no weights yet."""
    if spec.teacher is None or spec.teacher.weights != TRAIN:
        return None
    return spec.replace(
        **{
            "student": {"name": spec.teacher.name, "knobs": dict(spec.teacher.knobs)},
            "teacher": None,
            "distiller": None,
            "policy": None,
            "method": "alone",
            **{f"schedule.{name}": v for name, v in draft.about("teacher_schedule").items()},
            "schedule.epochs": int(draft.about("teacher_epochs")),
        }
    )


def _is_below(where: str, path: str) -> bool:
    """Whether a fault at `where` belongs to the setting at `path`."""
    return where == path or where.startswith(f"{path}.")
