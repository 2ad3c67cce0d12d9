"""Errors that a user can act upon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError


def in_sentences(message: str, hint: str) -> str:
    """A message and what to do about it, one after the other."""
    is_open = hint and message and message[-1] not in ".!?:"
    return f"{message}{'.' if is_open else ''} {hint}".strip()


class DistillError(Exception):
    """Root of the errors that the dashboard shows as a message.

    Args:
        message: what was wrong, what was given, what is allowed; one sentence.
        hint: what to do about it; empty where the message says it.
        where: the part of the spec it belongs to, as in `schedule.epochs`.
    """

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message, self.hint, self.where = message, hint, where

    def __str__(self) -> str:
        return in_sentences(self.message, self.hint)


class SpecError(DistillError):
    """A run was described in a way that cannot be built."""


class DataError(DistillError):
    """A data set is missing, empty or damaged."""


class WeightsError(DistillError):
    """Stored weights cannot be read or do not fit their net."""


class WorkspaceError(DistillError):
    """The workspace cannot be used: full, read-only, owned by another server, unknown run."""


class TrainingError(DistillError):
    """Training cannot go on: a loss that is not finite, memory that ran out."""


def explain(error: ValidationError, model: type[BaseModel], prefix: str) -> SpecError:
    """The first fault that pydantic found, as a sentence with the allowed range.

    Args:
        error: what validation raised.
        model: the model that was validated; its fields give the ranges.
        prefix: what stands before the field's name, as in `at` for `at.power`.
    """
    fault = error.errors()[0]
    path = [str(part) for part in fault["loc"]]
    is_knob = len(path) > 1 and path[-1] in _KNOB_KINDS and _is_union(error)
    if is_knob:
        path.pop()
    where = ".".join([prefix, *path] if prefix else path)
    if fault["type"] == "extra_forbidden":
        known = ", ".join(_fields_at(model, path[:-1])) or "none"
        owner = ".".join([prefix, *path[:-1]] if prefix else path[:-1]) or "a run"
        return SpecError(f"{owner} has no setting {path[-1]!r}; it has: {known}", where=where)
    if fault["type"] == "missing":
        return SpecError(f"{where} is missing", where=where)
    given = f"{where} = {fault['input']!r}"
    if is_knob:
        return SpecError(f"{given} is not a number, a text, true or false", where=where)
    schema = _schema_at(model, path)
    if "enum" in schema:
        known = ", ".join(str(value) for value in schema["enum"])
        return SpecError(f"{given} is not one of {known}", where=where)
    noun = _NOUNS.get(fault["type"])
    if noun:
        return SpecError(f"{given} is not {noun}{_range(schema, ', within ')}", where=where)
    if _range(schema, ""):
        return SpecError(f"{given} is outside {_range(schema, '')}", where=where)
    about = f" ({schema['description']})" if "description" in schema else ""
    return SpecError(f"{given} is not allowed{about}: {fault['msg'].lower()}", where=where)


_KNOB_KINDS = ("bool", "int", "float", "str")  # pydantic ends a place with the kind it tried


def _is_union(error: ValidationError) -> bool:
    """Whether the first two faults are two kinds tried at one place."""
    first, *rest = (fault["loc"][:-1] for fault in error.errors())
    return rest[:1] == [first]


_NOUNS = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list",
    "dict_type": "a list of settings",
    "model_type": "a list of settings",
    "mapping_type": "a list of settings",
}


def _range(schema: Mapping[str, Any], before: str) -> str:
    names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    low, high, above, below = (_short(schema.get(name)) for name in names)
    if low is None and high is None and above is None and below is None:
        return ""
    opening = f"({above}" if above is not None else "(any" if low is None else f"[{low}"
    closing = f"{below})" if below is not None else "any)" if high is None else f"{high}]"
    return f"{before}{opening}, {closing}"


def _short(bound: float | None) -> float | None:
    return int(bound) if bound is not None and bound == int(bound) else bound


def _schema_at(model: type[BaseModel], path: list[str]) -> Mapping[str, Any]:
    root = model.model_json_schema()
    found: Mapping[str, Any] = root
    for part in path:
        options = [found, *found.get("anyOf", ())]
        options = [_resolved(root, option) for option in options]
        found = next(
            (o["properties"][part] for o in options if part in o.get("properties", {})), {}
        )
    return _resolved(root, found)


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    root = model.model_json_schema()
    found = _schema_at(model, path) if path else root
    options = [_resolved(root, option) for option in [found, *found.get("anyOf", ())]]
    return [name for option in options for name in option.get("properties", {})]


def _resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        found: Mapping[str, Any] = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
        return found
    return schema
