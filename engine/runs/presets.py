"""Experiments that a person can start with one click, and what was published of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from engine.errors import SpecError, explain
from engine.runs.experiment import (
    MemberRole,
    Planned,
    Value,
    label_of,
    shared_axes,
    with_weights,
)
from engine.spec import Frozen, Knob, RunSpec, parse_yaml, read_spec, set_path

Settings = Mapping[str, Any]  # path -> value, as in {"schedule.epochs": 2}


class PresetRun(Frozen):
    """One run of a preset: the base with some paths set."""

    role: MemberRole = "student"
    label: str = ""
    set: Mapping[str, Any] = {}


class Published(Frozen):
    """What a table says of one pair on one data set: accuracies in per cent, as printed.

    alone, kd: of the student alone, and taught by soft labels.
    rows: distiller -> the student taught everywhere; then, where the table has it, taught where
        a policy chose.
    misplaced: what is printed beside this pair, but is of other nets.
    """

    teacher: float
    alone: float
    kd: float
    rows: Mapping[str, Annotated[tuple[float, ...], Field(min_length=1, max_length=2)]]
    misplaced: tuple[Literal["teacher", "alone", "kd"], ...] = ()
    notes: tuple[str, ...] = ()

    def lists(self, distiller: str) -> bool:
        """Whether it has a figure of this distiller."""
        return distiller == "kd" or distiller in self.rows

    def figures(self, distiller: str) -> Iterator[tuple[str, float]]:
        """As in ("AT adaptive", 71.24): what the table says of these nets and this distiller."""
        named = (("teacher", "teacher"), ("alone", "student alone"), ("kd", "KD"))
        yield from ((label, getattr(self, n)) for n, label in named if n not in self.misplaced)
        row = self.rows.get(distiller, ())
        kinds = (" standard", " adaptive") if len(row) == 2 else ("",)
        yield from ((distiller.upper() + kind, v) for kind, v in zip(kinds, row, strict=False))


class Preset(Frozen):
    """A named experiment; weights `run:0` in it mean the first of its `runs`.

    by: whose settings these are, as in SAKD.
    measured: how the published figures were.
    distillers: the distillers that it was made for, and what is set where one is chosen.
    """

    name: str
    title: str
    by: str = ""
    source: str = ""
    note: str = ""
    measured: str = ""
    base: Mapping[str, Any]
    runs: tuple[PresetRun, ...] = (PresetRun(),)
    axes: Mapping[str, tuple[Value, ...]] = {}
    distillers: Mapping[str, Settings] = {}
    published: Published | None = None

    def planned(self, settings: Settings = MappingProxyType({})) -> list[Planned]:
        """Its runs, each for every combination of the axes that concern it.

        A teacher is trained once, whatever the axes; a student taught by nobody takes those
        that do not concern teaching.

        Args:
            settings: what a person sets, in every run that it concerns. A path that is set is no
                axis any more, and a teacher whose weights are set is not trained.

        Raises:
            SpecError: a run cannot be built.
        """
        found: list[Planned] = []
        first: dict[str, str] = {}  # index in `runs` -> index in `found` of its first run
        settings = _by_path(settings)
        for index, run in enumerate(self.runs):
            if run.role == "teacher" and {"teacher", "teacher.weights"} & set(settings):
                continue
            begin = len(found)
            for values in _grid(self._axes(run.role, settings)):
                spec = with_weights(self._spec(run, {**values, **settings}), first)
                label = ", ".join(filter(None, [run.label, label_of(values)]))
                found.append(Planned(label or run.role, run.role, values, spec))
            first[str(index)] = str(begin)
        return found

    def _spec(self, run: PresetRun, settings: Settings) -> RunSpec:
        plain: dict[str, Any] = _copied(self.base)
        _put(plain, run.set)
        lacks = {part for part, value in run.set.items() if value is None}
        settings = {p: v for p, v in settings.items() if p.partition(".")[0] not in lacks}
        _put(plain, settings)
        if run.role != "teacher":
            distiller = (plain.get("distiller") or {}).get("name", "")
            _put(plain, self.distillers.get(distiller, {}))
            _put(plain, {p: v for p, v in settings.items() if (p, v) != ("distiller", distiller)})
        return read_spec(plain if run.role == "student" else _untaught(plain, run.role))

    def _axes(self, role: MemberRole, settings: Settings) -> Mapping[str, tuple[Value, ...]]:
        free = {p: v for p, v in self.axes.items() if not {p, f"{p}.name"} & set(settings)}
        if role == "student":
            return free
        return shared_axes(free) if role == "alone" else {}


class Pair(Frozen):
    """One column of a published table.

    knobs: the student's. set: in the student's runs, not in the teacher's. distillers: what the
        benchmark's distillers set for this pair alone.
    """

    teacher: str
    student: str
    knobs: Mapping[str, Knob] = {}
    set: Mapping[str, Any] = {}
    distillers: Mapping[str, Settings] = {}
    published: Published


class Benchmark(Frozen):
    """Presets that share all but the pair: one file, a preset for each of its pairs."""

    name: str
    title: str
    by: str
    source: str
    note: str = ""
    measured: str
    base: Mapping[str, Any]
    runs: tuple[PresetRun, ...]
    axes: Mapping[str, tuple[Value, ...]] = {}
    distillers: Mapping[str, Settings] = {}
    pairs: tuple[Pair, ...]

    def presets(self) -> Iterator[Preset]:
        """One for each pair, named as in `sakd-cifar100-resnet56-resnet20`."""
        for pair in self.pairs:
            base = _copied(self.base)
            nets = {"teacher.name": pair.teacher, "student.name": pair.student}
            _put(base, {**nets, "student.knobs": pair.knobs})
            yield Preset(
                name=f"{self.name}-{pair.teacher}-{pair.student}",
                title=f"{self.title}: {pair.teacher} → {pair.student}",
                by=self.by,
                source=self.source,
                note=" ".join([self.note, *pair.published.notes]),
                measured=self.measured,
                base=base,
                runs=tuple(_of_pair(run, pair) for run in self.runs),
                axes=self.axes,
                distillers={
                    name: {**shared, **pair.distillers.get(name, {})}
                    for name, shared in self.distillers.items()
                },
                published=pair.published,
            )


@cache
def load_presets(folder: Path) -> tuple[Preset, ...]:
    """The presets of a folder, in the order of their file names; read once.

    Raises:
        SpecError: a file describes none; the message names it.
    """
    return tuple(preset for path in sorted(folder.glob("*.yaml")) for preset in read_presets(path))


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


def tables_of(presets: Iterable[Preset], spec: RunSpec) -> list[tuple[Preset, Published]]:
    """The presets with published figures of a run's data set, method, teacher and student."""
    subject = _subject(spec.model_dump())
    found = ((preset, preset.published) for preset in presets if _subject(preset.base) == subject)
    return [(preset, table) for preset, table in found if table is not None]


def figures_of(tables: Iterable[tuple[Preset, Published]], distiller: str) -> dict[str, float]:
    """As in `SAKD: AT adaptive` -> accuracy, 0 to 1; what two tables share is there once."""
    found: dict[tuple[str, float], str] = {}
    for preset, table in tables:
        for row, value in table.figures(distiller):
            found.setdefault((row, value), f"{preset.by}: {row}")
    return {name: value / 100 for (_, value), name in found.items()}


def source_of(tables: Iterable[tuple[Preset, Published]]) -> str:
    """Whose figures these are, how they were measured, and what is wrong with them."""
    said: list[str] = []
    for preset, table in tables:
        said += [f"{preset.by} ({preset.source}), {preset.measured}", *table.notes]
    return ". ".join(sentence.rstrip(".") for sentence in said)


def read_presets(path: Path) -> list[Preset]:
    """What one file describes.

    Raises:
        SpecError: it describes none; the message names it.
        OSError: it cannot be read.
    """
    try:
        plain = parse_yaml(path.read_text(encoding="utf-8"))
        kind = Benchmark if "pairs" in plain else Preset
        found = kind.model_validate({"name": path.stem, **plain})
        presets = [*found.presets()] if isinstance(found, Benchmark) else [found]
        for preset in presets:
            preset.planned()
    except ValidationError as error:
        fault = explain(error, kind, "")
        raise SpecError(f"preset {path.name}: {fault.message}", where=fault.where) from None
    except SpecError as error:
        raise SpecError(f"preset {path.name}: {error.message}", where=error.where) from None
    return presets


def _of_pair(run: PresetRun, pair: Pair) -> PresetRun:
    if run.role == "teacher":
        return run
    return run.model_copy(update={"set": {**pair.set, **run.set}})


def _by_path(settings: Settings) -> Settings:
    """`teacher: resnet110` names a net, and leaves where its weights come from."""
    teacher = settings.get("teacher")
    if not isinstance(teacher, str):
        return settings
    return {**{p: v for p, v in settings.items() if p != "teacher"}, "teacher.name": teacher}


def _untaught(plain: Mapping[str, Any], role: MemberRole) -> dict[str, Any]:
    """The student of a spec taught by nobody, or its teacher in the student's place."""
    teacher = plain.get("teacher") if role == "teacher" else None
    student = {**teacher, "weights": "none"} if teacher else plain["student"]
    nobody = {"teacher": None, "distiller": None, "policy": None, "method": {"name": "alone"}}
    return {**plain, "student": student, **nobody}


def _subject(plain: Mapping[str, Any]) -> tuple[Any, ...]:
    """What published figures are of: data set, method, teacher and student with their knobs."""
    nets = ((plain.get(role) or {}) for role in ("teacher", "student"))
    knobs = [(net.get("name"), dict(net.get("knobs", {}))) for net in nets]
    return plain["data"]["name"], plain["method"]["name"], *knobs


def _grid(axes: Mapping[str, tuple[Value, ...]]) -> list[dict[str, Value]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _put(plain: dict[str, Any], settings: Settings) -> None:
    for path, value in settings.items():
        set_path(plain, path, _copied(value))


def _copied(value: Any) -> Any:
    """`set_path` writes into what it is given; a preset must stay as it was read."""
    if isinstance(value, Mapping):
        return {name: _copied(inner) for name, inner in value.items()}
    return value
