"""Settings drawn from their JSON schema: range, meaning and default come from the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import streamlit as st

from pages.parts.distill import draft

Schema = Mapping[str, Any]

COLUMNS = 3
SPELT_OUT = {"kl": "KL", "lr": "learning rate"}


def part_knobs(
    part: str,
    name: str,
    schemas: Mapping[str, Schema],
    mark: Callable,  # type: ignore[type-arg]
    *,
    asked: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """The knobs of a chosen part; the draft keeps only those that differ from the default.

    Args:
        part: of the spec, as in `distiller`.
        name: which one is chosen, as in `at`.
        schemas: knob -> its schema.
        mark: called with a path, leaves room for what is wrong there.
        asked: knob -> what it is called, where not all are asked for.
    """
    chosen = dict(draft.answer(f"{part}.knobs", {}))
    wanted = {knob: schemas[knob] for knob in asked or schemas if knob in schemas}
    for knob, schema, column in _in_columns(wanted):
        path = f"{part}.knobs.{knob}"
        with column:
            label = asked.get(knob, knob)
            value = knob_input(f"{path}@{name}", label, schema, chosen.get(knob))
            mark(path)
        if value == schema.get("default"):
            chosen.pop(knob, None)
        else:
            chosen[knob] = value
    draft.put(f"{part}.knobs", {knob: chosen[knob] for knob in schemas if knob in chosen})


def setting_knobs(
    schemas: Mapping[str, Schema],
    names: Iterable[str],
    mark: Callable,
    *,
    before: str = "",  # type: ignore[type-arg]
) -> None:
    """Settings of the spec itself, as in `schedule.lr`."""
    for name, schema, column in _in_columns({name: schemas[name] for name in names}):
        path = f"{before}{name}"
        with column:
            draft.put(path, knob_input(path, name, schema, draft.answer(path)))
            mark(path)


def knob_input(path: str, name: str, schema: Schema, value: Any) -> Any:
    """One input; returns what it holds now."""
    label = label_of(name)
    value = schema.get("default") if value is None else value
    about = help_of(schema)
    options = schema.get("enum")
    kind = schema.get("type")
    if options:
        return st.selectbox(label, options, key=draft.key_for(path, value), help=about)
    if kind == "boolean":
        return st.toggle(label, key=draft.key_for(path, bool(value)), help=about)
    if kind in ("integer", "number"):
        return _number(label, path, schema, value, about)
    if kind == "array":
        return _whole_numbers(label, path, value, about)
    return st.text_input(label, key=draft.key_for(path, str(value or "")), help=about)


def label_of(name: str) -> str:
    """A setting's name for people, as in `Warm up learning rate`."""
    words = " ".join(SPELT_OUT.get(word, word) for word in name.split("_"))
    return words[:1].upper() + words[1:]


def help_of(schema: Schema) -> str:
    """Meaning, range and default, in one line."""
    said = [str(schema.get("description", "")).rstrip(".")]
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is not None and high is not None:
        said.append(f"from {'above ' if 'exclusiveMinimum' in schema else ''}{low} to {high}")
    if "default" in schema:
        said.append(f"default {schema['default']}")
    return "; ".join(part for part in said if part)


def _number(label: str, path: str, schema: Schema, value: Any, about: str) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if schema["type"] == "integer":
        return st.number_input(
            label,
            None if low is None else int(low),
            None if high is None else int(high),
            step=1,
            key=draft.key_for(path, int(value)),
            help=about,
        )
    step = 10.0 ** math.floor(math.log10(abs(value))) if value else 0.1
    return st.number_input(
        label,
        None if low is None else float(low),
        None if high is None else float(high),
        step=step,
        format="%g",
        key=draft.key_for(path, float(value)),
        help=about,
    )


def _whole_numbers(label: str, path: str, value: Any, about: str) -> list[int]:
    text = ", ".join(str(number) for number in value or ())
    typed = st.text_input(label, key=draft.key_for(path, text), help=f"{about}; as in 150, 180")
    words = (word.strip() for word in (typed or "").split(","))
    return [int(word) for word in words if word.isdecimal()]


def _in_columns(schemas: Mapping[str, Schema]) -> Iterable[tuple[str, Schema, Any]]:
    """Row by row, so that a narrow screen keeps their order."""
    for place, (name, schema) in enumerate(schemas.items()):
        if place % COLUMNS == 0:
            columns = st.columns(COLUMNS, vertical_alignment="bottom")
        yield name, schema, columns[place % COLUMNS]
