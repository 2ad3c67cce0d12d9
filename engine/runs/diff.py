"""Whether two runs found out the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.events import results_of
from engine.runs.folder import RunFolder

# Says how two runs' weights differ; empty if they do not.
CompareWeights = Callable[[RunFolder, RunFolder], str]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between run a and run b; empty where nothing does."""

    spec: tuple[str, ...]  # as in `seed: 1 / 2`; for information
    results: str  # the first difference, or empty
    weights: str

    @property
    def is_equal(self) -> bool:
        """Whether results and weights agree, whatever the specs say."""
        return not self.results and not self.weights


def diff_runs(a: RunFolder, b: RunFolder, weights: CompareWeights | None = None) -> Difference:
    """Compare the results of two logs, and their weights by a function that can read them.

    Raises:
        WorkspaceError: a run cannot be read.
    """
    spec_a, spec_b = (_flat(json.loads(run.spec().to_json())) for run in (a, b))
    return Difference(
        spec=tuple(_gaps(spec_a, spec_b)),
        results=_first_gap(_results(a), _results(b)),
        weights=weights(a, b) if weights else "",
    )


def _results(run: RunFolder) -> list[dict[str, Any]]:
    events, _, _ = run.log.read()
    return results_of(events)


def _first_gap(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> str:
    for number, (mine, other) in enumerate(zip(a, b, strict=False)):
        gaps = _gaps(_flat(mine), _flat(other))
        if gaps:
            return f"result {number}, {mine['kind']} at {_place(mine['at'])}: {gaps[0]}"
    if len(a) != len(b):
        longer, name = (a, "the first") if len(a) > len(b) else (b, "the second")
        extra = longer[min(len(a), len(b))]
        return f"only {name} run has {extra['kind']} at {_place(extra['at'])}"
    return ""


def _gaps(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return [
        f"{path}: {_shown(a, path)} / {_shown(b, path)}"
        for path in dict.fromkeys([*a, *b])
        if _shown(a, path) != _shown(b, path)
    ]


def _shown(flat: Mapping[str, Any], path: str) -> str:
    return repr(flat[path]) if path in flat else "missing"


def _flat(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _place(at: tuple[int, int, int]) -> str:
    return f"phase {at[0]}, epoch {at[1]}, step {at[2]}"
