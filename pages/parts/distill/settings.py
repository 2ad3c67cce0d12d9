"""Whose settings distiller and method have: those of a public code, or one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.api import Preset
from pages.parts.distill import draft
from pages.parts.distill.form import Form

OWN = "Own"
IE = "IE"
KINDS = {"distiller": "distillers", "method": "methods"}
LEARNING = ("learned", "reversed")  # the policies to which the knobs below mean something
OF_LEARNING = ("gamma",)

Knobs = Mapping[str, Any]


def settings(form: Form) -> None:
    """Say whose settings are in use, and let others be taken.

    They stay in use where another distiller, pair or data set is chosen, for which the same
    code may have other values. So this is drawn last, into the room left for it by the method.
    """
    if "distiller" not in form.needs:
        return
    known = _known(form)
    parts = {name: _by_part(form, knobs) for name, knobs in known.items()}
    if _follow(form, parts):
        st.rerun()
    if not known:
        return
    here = {part: _apart(form, part, draft.answer(f"{part}.knobs", {})) for part in KINDS}
    now = next((name for name in parts if parts[name] == here), OWN)
    draft.put_about("settings", now)
    place = form.slots["settings"]
    chosen = place.segmented_control(
        "Preset of these settings",
        [*known] if now in known else [*known, OWN],
        key=draft.key_for(f"about.settings.{now}", now),
        required=True,
        help="As the public code of that name has them; another may have other weights for the"
        " same distiller. SAKD: spot-adaptive distillation. RepDistiller: the benchmark that most"
        " papers follow. IE: what inheritance and exploration needs; ours.",
    )
    place.caption(" · ".join(f"{name}: {_words(knobs)}" for name, knobs in known.items()))
    if chosen in known and chosen != now:
        draft.put_many({f"{part}.knobs": dict(knobs) for part, knobs in parts[chosen].items()})
        st.rerun()


def _known(form: Form) -> dict[str, Knobs]:
    """Name -> knob -> value, as published for the chosen distiller, pair and data set.

    A method with settings of its own for its distillers has those alone.
    """
    own = form.method.get("facts", {}).get("distillers", ())
    if isinstance(own, Mapping):
        knobs = own.get(draft.answer("distiller.name"), {})
        return {IE: knobs} if knobs else {}
    entry = form.entries["distillers"].get(draft.answer("distiller.name"), {})
    pair = f"{draft.answer('teacher.name')}-{draft.answer('student.name')}"
    found: dict[str, Knobs] = {}
    for name, knobs in entry.get("facts", {}).get("presets", {}).items():
        found[name] = {}
        for knob, value in knobs.items():
            if isinstance(value, Mapping):  # by data set or by pair
                value = value.get(draft.answer("data.name"), value.get(pair))
            if value is not None and not _is_idle(knob):
                found[name][knob] = value
    return found


def _by_part(form: Form, knobs: Knobs) -> dict[str, Knobs]:
    """The same as a spec holds it: the distiller's own, and those that its method has."""
    own = {knob: value for knob, value in knobs.items() if knob in _schemas(form, "distiller")}
    rest = {knob: value for knob, value in knobs.items() if knob not in own}
    return {"distiller": _apart(form, "distiller", own), "method": _apart(form, "method", rest)}


def _apart(form: Form, part: str, knobs: Knobs) -> Knobs:
    """Those knobs that exist, mean something and differ from their default."""
    schemas = _schemas(form, part)
    return {
        knob: value
        for knob, value in knobs.items()
        if knob in schemas and value != schemas[knob].get("default") and not _is_idle(knob)
    }


def _schemas(form: Form, part: str) -> Mapping[str, Any]:
    entry = form.entries[KINDS[part]].get(draft.answer(f"{part}.name"), {})
    found: Mapping[str, Any] = entry.get("knobs", {})
    return found


def _is_idle(knob: str) -> bool:
    policies = draft.about("policies") or [draft.answer("policy.name")]
    return knob in OF_LEARNING and not set(LEARNING) & set(policies)


def _follow(form: Form, parts: Mapping[str, Mapping[str, Knobs]]) -> bool:
    """After another choice: what the settings in use, and the preset in the form, have for it."""
    paths = ("distiller.name", "method.name", "teacher.name", "student.name", "data.name")
    choice = {**{path: draft.answer(path) for path in paths}, "idle": _is_idle(*OF_LEARNING)}
    before = draft.about("settings_for")
    if choice == before:
        return False
    draft.put_about("settings_for", choice)
    changes: dict[str, Any] = {}
    chosen = ("method.name", "distiller.name")
    is_new = bool(before) and any(before[path] != choice[path] for path in chosen)
    for part, knobs in _in_use(parts, is_new=is_new).items():
        changes[f"{part}.knobs"] = dict(knobs)
    presets = {preset.name: preset for preset in form.found.presets()}
    preset = presets.get(draft.about("preset"))
    if preset and before and before["distiller.name"] != choice["distiller.name"]:
        changes |= _schedule(preset)
    changes = {path: value for path, value in changes.items() if draft.answer(path) != value}
    if changes:
        draft.put_many(changes)
    return bool(changes)


def _in_use(parts: Mapping[str, Mapping[str, Knobs]], *, is_new: bool) -> Mapping[str, Knobs]:
    """The settings in use; the first where these are of another method; none where own.

    A method with settings of its own brings them all the same. What fills a form stays as it is.
    """
    name = draft.about("settings")
    if name in (None, "", OWN):
        return parts.get(IE, {}) if is_new else {}
    return parts.get(name) or next(iter(parts.values()), {"distiller": {}, "method": {}})


def _schedule(preset: Preset) -> dict[str, Any]:
    """What a preset sets of the schedule by distiller, for the one that is chosen."""
    paths = {path for settings in preset.distillers.values() for path in settings}
    schedule = draft.taught_spec(preset, draft.answer("distiller.name")).schedule.model_dump()
    return {p: schedule[p.split(".")[1]] for p in paths if p.startswith("schedule.")}


def _words(knobs: Knobs) -> str:
    """As in `weight 100, logits weight 0`."""
    return ", ".join(f"{knob.replace('_', ' ')} {value:g}" for knob, value in knobs.items())
