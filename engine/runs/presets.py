"""Experiments that a person can start with one click: one YAML file each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import SpecError, explain
from engine.runs.experiment import (
    MemberRole,
    Planned,
    Value,
    label_of,
    shared_axes,
    with_weights,
)
from engine.spec import Frozen, RunSpec, parse_yaml, read_spec, set_path


class PresetRun(Frozen):
    """One run of a preset: the base with some paths set."""

    role: MemberRole = "student"
    label: str = ""
    set: Mapping[str, Any] = {}


class Preset(Frozen):
    """A named experiment; weights `run:0` in it mean the first of its `runs`."""

    name: str
    title: str
    source: str = ""
    note: str = ""
    base: Mapping[str, Any]
    runs: tuple[PresetRun, ...] = (PresetRun(),)
    axes: Mapping[str, tuple[Value, ...]] = {}

    def planned(self) -> list[Planned]:
        """Its runs, each for every combination of the axes that concern it.

        A teacher is trained once, whatever the axes; a student taught by nobody takes those
        that do not concern teaching.

        Raises:
            SpecError: a run cannot be built.
        """
        found: list[Planned] = []
        first: dict[str, str] = {}  # index in `runs` -> index in `found` of its first run
        for index, run in enumerate(self.runs):
            spec = with_weights(self._spec(run), first)
            first[str(index)] = str(len(found))
            for values in _grid(self._axes(run.role)):
                label = ", ".join(filter(None, [run.label, label_of(values)]))
                found.append(Planned(label or run.role, run.role, values, spec.replace(**values)))
        return found

    def _spec(self, run: PresetRun) -> RunSpec:
        plain: dict[str, Any] = _copied(self.base)
        for path, value in run.set.items():
            set_path(plain, path, _copied(value))
        return read_spec(plain)

    def _axes(self, role: MemberRole) -> Mapping[str, tuple[Value, ...]]:
        if role == "student":
            return self.axes
        return shared_axes(self.axes) if role == "alone" else {}


def load_presets(folder: Path) -> tuple[Preset, ...]:
    """The presets of a folder, in the order of their file names.

    Raises:
        SpecError: a file describes none; the message names it.
    """
    return tuple(_load(path) for path in sorted(folder.glob("*.yaml")))


def find_preset(presets: Sequence[Preset], name: str) -> Preset:
    """The preset of this name.

    Raises:
        SpecError: there is none.
    """
    for preset in presets:
        if preset.name == name:
            return preset
    known = ", ".join(preset.name for preset in presets)
    raise SpecError(f"no preset {name!r}; known: {known}")


def _load(path: Path) -> Preset:
    try:
        plain = parse_yaml(path.read_text(encoding="utf-8"))
        preset = Preset.model_validate({"name": path.stem, **plain})
        preset.planned()
    except ValidationError as error:
        fault = explain(error, Preset, "")
        raise SpecError(f"preset {path.name}: {fault.message}", where=fault.where) from None
    except SpecError as error:
        raise SpecError(f"preset {path.name}: {error.message}", where=error.where) from None
    return preset


def _grid(axes: Mapping[str, tuple[Value, ...]]) -> list[dict[str, Value]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _copied(value: Any) -> Any:
    """`set_path` writes into what it is given; a preset must stay as it was read."""
    if isinstance(value, Mapping):
        return {name: _copied(inner) for name, inner in value.items()}
    return value
