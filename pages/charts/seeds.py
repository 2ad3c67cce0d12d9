"""Runs that differ by their seed only, as one row; differences with the seeds paired."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.api import Labels, RunSpec, Summary
from pages.charts.compare import flattened, written
from pages.charts.headline import short_of
from pages.charts.table import Split, accuracy, split_of

# What two runs of one setting may differ in: the seed, and what does not change a result.
APART = frozenset({"seed", "device", "threads", "evaluate_every", "save_every"})
# What every student of a fair comparison shares, taught or not.
CONDITIONS = (
    "data.knobs",
    "student.knobs",
    "student.weights",
    "schedule",
    "select_on",
    "precision",
)
RULE = (
    "Seeds are paired: each run minus the baseline's run with the same seed, then the mean ±"
    " standard deviation (n - 1) of these differences and, in brackets, how many there are."
    " A mean smaller than twice its standard error (standard deviation / √n) is inside the noise."
    " One seed tells nothing about noise, and two or three tell little."
)


@dataclass(frozen=True, slots=True)
class Group:
    """Finished runs of one setting.

    by_seed: seed -> the headline of the last weights, 0 to 1
    headline: which figure that is
    """

    labels: Labels
    settings: str  # what tells it from the other groups beside its labels
    split: Split
    by_seed: Mapping[int, float]
    headline: str = "accuracy"

    @property
    def how(self) -> str:
        """Method, distiller and policy."""
        labels = self.labels
        return " + ".join(filter(None, (labels.method, labels.distiller, labels.policy)))


class Paired(NamedTuple):
    """Group minus baseline, seed by seed; shares, not points."""

    by_seed: Mapping[int, float]
    mean: float | None
    spread: float | None  # standard deviation (n - 1)
    word: str


def groups_of(specs: Mapping[str, RunSpec], rows: Sequence[Summary]) -> list[Group]:
    """Finished and measured runs by their setting; of a seed that was run twice, the newest.

    Args:
        specs: run -> its spec.
        rows: the runs; the groups keep their order.
    """
    found: dict[str, list[Summary]] = {}
    for row in rows:
        if row.id in specs and row.status == "finished" and accuracy(row) is not None:
            plain = specs[row.id].model_dump(exclude=set(APART))
            key = json.dumps([plain, split_of(row)], sort_keys=True, default=str)
            found.setdefault(key, []).append(row)
    everyone = [specs[members[0].id] for members in found.values()]
    groups = []
    for members in found.values():
        newest = sorted(members, key=lambda row: row.created)
        by_seed = {row.seed: accuracy(row) or 0.0 for row in newest}
        first = members[0]
        namesakes = [specs[other[0].id] for other in found.values() if _same_names(other[0], first)]
        groups.append(
            Group(
                labels=first.labels,
                settings=_apart(specs[first.id], namesakes, everyone),
                split=split_of(first),
                by_seed=dict(sorted(by_seed.items())),
                headline=first.headline,
            )
        )
    return groups


def paired(group: Group, baseline: Group) -> Paired:
    """What a group gains over a baseline, on the seeds that both have."""
    for what, name in (("split", "split"), ("headline", "figure")):
        if getattr(group, what) != getattr(baseline, what):
            return Paired({}, None, None, f"another {name}")
    if group.labels.data != baseline.labels.data:
        return Paired({}, None, None, "other data")
    seeds = [seed for seed in group.by_seed if seed in baseline.by_seed]
    gaps = {seed: group.by_seed[seed] - baseline.by_seed[seed] for seed in seeds}
    if not gaps:
        return Paired({}, None, None, "no common seed")
    mean = statistics.fmean(gaps.values())
    if len(gaps) == 1:
        return Paired(gaps, mean, None, "one seed")
    spread = statistics.stdev(gaps.values())
    is_clear = abs(mean) > 2 * spread / math.sqrt(len(gaps))
    return Paired(gaps, mean, spread, "outside the noise" if is_clear else "inside the noise")


def usual_baseline(groups: Sequence[Group], wanted: Sequence[str] = ("alone", "all")) -> int:
    """The place of the first method or policy wanted that is there, else the first group."""
    for name in wanted:
        for place, group in enumerate(groups):
            if name in (group.labels.method, group.labels.policy):
                return place
    return 0


def names_of(groups: Sequence[Group]) -> list[str]:
    """How each group is called: by its policy alone, where all that are taught share the rest."""
    taught = [group.labels for group in groups if group.labels.policy]
    if len({(one.method, one.distiller) for one in taught}) != 1:
        return [group.how for group in groups]
    return [
        group.how.removeprefix(f"{group.labels.method} + {group.labels.distiller} + ")
        for group in groups
    ]


def full_names(groups: Sequence[Group]) -> list[str]:
    """The same with the settings that tell them apart."""
    named = [
        f"{name} ({group.settings})" if group.settings else name
        for name, group in zip(names_of(groups), groups, strict=True)
    ]
    return [
        name if named.count(name) == 1 else f"{name}, {group.labels.student}, {group.labels.data}"
        for name, group in zip(named, groups, strict=True)
    ]


def seed_rows(groups: Sequence[Group], baseline: int) -> list[dict[str, str]]:
    """One row a group; settings, nets, data and split only where they differ."""
    against = groups[baseline]
    rows = []
    column = headline_column(groups)
    for place, (group, name) in enumerate(zip(groups, names_of(groups), strict=True)):
        found = paired(group, against)
        apart = {
            "Student": group.labels.student,
            "Teacher": group.labels.teacher or "-",
            "Data": group.labels.data,
            "Split": group.split,
        }
        values = [100 * value for value in group.by_seed.values()]
        rows.append(
            {
                "Method": name,
                "Settings": group.settings or "-",
                column: _mean_and_spread(values, "{:.2f}"),
                "Difference": "baseline"
                if place == baseline
                else _mean_and_spread([100 * gap for gap in found.by_seed.values()], "{:+.2f}"),
                "Noise": "-" if place == baseline else found.word,
                "By seed": _by_seed(group.by_seed)
                if place == baseline
                else ", ".join(f"{seed}: {100 * gap:+.2f}" for seed, gap in found.by_seed.items()),
                **apart,
            }
        )
    for name in ("Settings", "Student", "Teacher", "Data", "Split"):
        if len({row[name] for row in rows if row[name] != "-"}) < 2:
            rows = [{key: value for key, value in row.items() if key != name} for row in rows]
    return rows


def headline_column(groups: Sequence[Group]) -> str:
    """What the table calls the figure of its rows."""
    return f"{short_of(group.headline for group in groups)} (%)"


def _mean_and_spread(values: Sequence[float], form: str) -> str:
    """Mean ± standard deviation (n); `-` for no values."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{form.format(values[0])} (one seed)"
    mean = form.format(statistics.fmean(values))
    return f"{mean} ± {statistics.stdev(values):.2f} ({len(values)})"


def _by_seed(by_seed: Mapping[int, float]) -> str:
    return ", ".join(f"{seed}: {100 * value:.2f}" for seed, value in by_seed.items())


def _same_names(one: Summary, other: Summary) -> bool:
    return (one.labels, split_of(one)) == (other.labels, split_of(other))


def _apart(spec: RunSpec, namesakes: Sequence[RunSpec], everyone: Sequence[RunSpec]) -> str:
    """`epochs 60, warm_start 0`: conditions that differ in the table, and settings that differ
    among rows of the same names."""
    mine = _flat(spec)
    said = []
    for path in [*_differing(everyone, CONDITIONS), *_differing(namesakes, ("",), CONDITIONS)]:
        value = written(mine[path]) if path in mine else "default"
        said.append(f"{path.rsplit('.', 1)[-1]} {value}")
    return ", ".join(said)


def _differing(
    specs: Sequence[RunSpec], within: tuple[str, ...], without: tuple[str, ...] = ()
) -> list[str]:
    """The settings that are not the same in all specs, by the beginnings of their paths."""
    flat = [_flat(spec) for spec in specs]
    paths = dict.fromkeys(path for settings in flat for path in settings)
    return [
        path
        for path in paths
        if path.startswith(within)
        and not path.startswith(without)
        and len({written(settings.get(path)) for settings in flat}) > 1
    ]


def _flat(spec: RunSpec) -> dict[str, Any]:
    return flattened(spec.model_dump(exclude=set(APART)))
