"""What the Distill page holds: one set of answers, whichever voice asks for them.

The draft is the truth and widgets are made from it: a widget that is not drawn loses its own
state, and gets it back from here. `refill` gives all widgets new keys, so that they follow.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.api import Preset, RunSpec, SpecError, Studio, read_spec
from pages.parts.distill.defaults import DEFAULTS, Task

PARTS = ("teacher", "distiller", "policy")  # what a method may need
ABOUT: Mapping[str, Any] = {
    "name": "",
    "preset": "",
    "seeds": [],
    "policies": [],
    "with_baseline": True,
    "extras": [],  # parts that the method can do without, and has
    "teacher_epochs": 30,
    "teacher_schedule": {},  # of a preset's teacher, but for its epochs; empty: as the student's
    "settings": "",  # whose settings distiller and method have
    "settings_for": {},  # the choices that these were taken for
    "taught_by": {},  # the method before the teacher was sent away
    "other_tasks": {},  # task -> what was chosen for it
}
# What belongs to a task, of the spec and beside it; the rest is the same for all.
OF_TASK = (
    *("data", "teacher", "student", "method", "distiller", "policy", "schedule"),
    *("evaluate_every", "save_every"),
)
ABOUT_TASK = (
    *("preset", "policies", "extras", "teacher_epochs", "teacher_schedule"),
    *("settings", "settings_for", "taught_by"),
)


def begin(found: Studio) -> None:
    """Take the draft of the last visit, else the first preset; once for each browser tab."""
    if "draft" in st.session_state:
        return
    kept = found.draft()
    if kept.get("spec"):
        refill(kept["spec"], kept.get("about", {}))
    elif presets := found.presets():
        take_preset(presets[0])
    else:
        refill({}, {})


def refill(spec: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Replace all answers; parts that the spec leaves out keep a sensible one for later."""
    given = {name: value for name, value in spec.items() if value is not None}
    fallback = DEFAULTS[given.get("task", "classify")]
    chosen: Task = given.get("task", "classify")
    kept = {"other_tasks": _others(chosen)} if "draft" in st.session_state else {}
    st.session_state["draft"] = copy.deepcopy({**fallback, **given})
    extras = [part for part in PARTS if part in given]
    st.session_state["draft_about"] = {**ABOUT, "extras": extras, **about, **kept}
    st.session_state["draft_turn"] = st.session_state.get("draft_turn", 0) + 1


def take_preset(preset: Preset) -> None:
    """The preset's taught run, and its axes as far as the form knows them."""
    taught, teacher = _taught(preset, "")
    about = {
        "preset": preset.name,
        "seeds": list(preset.axes.get("seed", ())),
        "policies": list(preset.axes.get("policy", ())),
        "with_baseline": any(run.role == "alone" for run in preset.runs),
    }
    if teacher is not None:
        about["teacher_epochs"] = teacher.schedule.epochs
        about["teacher_schedule"] = teacher.schedule.model_dump(mode="json", exclude={"epochs"})
    refill(taught.model_dump(mode="json"), about)


def task() -> Task:
    """What the student shall do."""
    found: Task = answer("task", "classify")
    return found


def choose_task(chosen: Task) -> None:
    """Another goal; what was chosen for this one is there again when it is taken up again."""
    now = st.session_state["draft"]
    then = about("other_tasks").get(chosen, {"spec": {}, "about": {}})
    shared = {name: value for name, value in now.items() if name not in OF_TASK}
    besides = {name: about(name) for name in ABOUT if name not in ABOUT_TASK}
    refill(
        {**shared, **then["spec"], "task": chosen},
        {**besides, **then["about"]},
    )


def _others(chosen: Task) -> dict[str, Any]:
    """What was chosen for other goals than this one, that of now among them."""
    now, before = st.session_state["draft"], task()
    others = {name: kept for name, kept in about("other_tasks").items() if name != chosen}
    if before != chosen:
        others[before] = {
            "spec": {name: now[name] for name in OF_TASK if name in now},
            "about": {name: about(name) for name in ABOUT_TASK},
        }
    return others


def taught_spec(preset: Preset, distiller: str = "") -> RunSpec:
    """What a preset fills the form with; with this distiller, where the preset was made for it."""
    return _taught(preset, distiller)[0]


def _taught(preset: Preset, distiller: str) -> tuple[RunSpec, RunSpec | None]:
    """Its last taught run, else its last one; and the run that trains the teacher before it."""
    planned = preset.planned({"distiller": distiller} if distiller in preset.distillers else {})
    spec = ([plan for plan in planned if plan.role == "student"] or planned)[-1].spec
    source = spec.teacher.weights.removeprefix("run:") if spec.teacher else ""
    if not source.isdecimal():
        return spec, None
    return spec.replace(**{"teacher.weights": "none"}), planned[int(source)].spec


def answer(path: str, default: Any = None) -> Any:
    """What the draft holds at a path such as `schedule.epochs`."""
    here: Any = st.session_state["draft"]
    for part in path.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return default
        here = here[part]
    return here


def put(path: str, value: Any) -> None:
    """Change one answer."""
    here = st.session_state["draft"]
    *parents, last = path.split(".")
    for part in parents:
        if not isinstance(here.get(part), dict):
            here[part] = {}
        here = here[part]
    here[last] = value


def put_many(changes: Mapping[str, Any]) -> None:
    """Change answers from outside their widgets, which then follow."""
    for path, value in changes.items():
        put(path, value)
    st.session_state["draft_turn"] += 1


def about(name: str) -> Any:
    """What is asked beside the spec: name, seeds, baseline."""
    return st.session_state["draft_about"].get(name, ABOUT[name])


def put_about(name: str, value: Any) -> None:
    st.session_state["draft_about"][name] = value


def key_for(path: str, value: Any) -> str:
    """The key of the widget at a path; the widget begins with what the draft holds."""
    key = f"draft{st.session_state['draft_turn']}:{path}"
    st.session_state.setdefault(key, value)
    return key


def plain_spec(needs: tuple[str, ...]) -> dict[str, Any]:
    """The draft as a spec, without the parts that the method does not use."""
    plain = copy.deepcopy(st.session_state["draft"])
    for part in PARTS:
        if part not in needs:
            plain.pop(part, None)
    return plain


def keep(found: Studio) -> None:
    """Save the draft where it changed since the last time."""
    now = {"spec": st.session_state["draft"], "about": st.session_state["draft_about"]}
    if st.session_state.get("draft_kept") != now:
        found.save_draft(now)
        st.session_state["draft_kept"] = copy.deepcopy(now)


def validated(plain: Mapping[str, Any]) -> tuple[RunSpec | None, SpecError | None]:
    """The spec, or what is wrong with it."""
    try:
        return read_spec(plain), None
    except SpecError as error:
        return None, error
