"""The house rules: which room may know of which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GROUND = {
    *("engine.errors", "engine.seeding", "engine.spec", "engine.events"),
    "engine.class_colours",
}
NETS = GROUND | {"engine.registry"}
TRAINING = NETS | {"engine.data"}
DISTILLERS = TRAINING | {"engine.nets"}
METHODS = DISTILLERS | {"engine.distillers", "engine.training"}
WORKSHOP = METHODS | {"engine.methods", "engine.measures"}
DOOR = GROUND | {"engine.runs"}

# A room may import itself, the rooms listed for it, and nothing else of ours.
MAY_IMPORT = {
    "engine": set(),
    "engine.errors": set(),
    "engine.seeding": set(),
    "engine.spec": {"engine.errors"},
    "engine.events": set(),
    "engine.class_colours": set(),
    "engine.registry": {"engine.errors"},
    "engine.nets": NETS,
    "engine.data": NETS,
    "engine.training": TRAINING,
    "engine.measures": DISTILLERS,
    "engine.distillers": DISTILLERS,
    "engine.methods": METHODS,
    "engine.runs": GROUND | {"engine"},
    "engine.assembly": WORKSHOP,
    "engine.execution": WORKSHOP | DOOR | {"engine.assembly"},
    "engine.jobs": WORKSHOP | DOOR | {"engine.assembly"},
    "engine.api": DOOR,
    "engine.step_bench": WORKSHOP | GROUND,
    "engine.predict_command": {"engine.runs", "engine.jobs", "engine.assembly"},
    "engine.cli": WORKSHOP
    | DOOR
    | {"engine.assembly", "engine.jobs", "engine.api", "engine.step_bench"}
    | {"engine.predict_command"},
    "engine.__main__": {"engine.execution", "engine.jobs", "engine.cli", "engine.runs"},
    "pages.charts": {"engine.api"},
    "pages.parts": {"engine.api", "pages.charts"},
    "pages": {"engine.api", "pages.charts", "pages.parts"},
    "app": {"engine.api", "pages.parts"},
}
FORBIDDEN = {
    "engine": {"streamlit", "plotly"},
    "engine.api": {"torch", "torchvision"},
    "engine.runs": {"torch", "torchvision"},
    "engine.errors": {"torch"},
    "engine.spec": {"torch"},
    "engine.events": {"torch"},
    "engine.class_colours": {"torch"},
    "pages": {"torch", "torchvision", "fvcore"},
    "pages.charts": {"streamlit", "pathlib", "os"},
    "app": {"torch", "torchvision"},
}
FILES = sorted([ROOT / "app.py", *ROOT.glob("engine/**/*.py"), *ROOT.glob("pages/**/*.py")])
KNOWS_PROCESSES = ("engine.runs", "engine.api", "engine.cli")


def room(module: str) -> str:
    hits = [name for name in MAY_IMPORT if module == name or module.startswith(name + ".")]
    return max(hits, key=len, default="")


def imports(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} is a relative import"
            assert node.module is not None
            if room(node.module) in ("engine", "pages"):  # `from engine import api`
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module, node.lineno


def module_of(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_keep_to_the_plan(path: Path) -> None:
    module = module_of(path)
    here = room(module)
    assert here, f"{module} is in no room: give it one in MAY_IMPORT"
    for name, line in imports(path):
        there = room(name)
        if there and there != here:
            assert there in MAY_IMPORT[here], f"{path}:{line}: {here} may not import {there}"
        for prefix, banned in FORBIDDEN.items():
            if module == prefix or module.startswith(prefix + "."):
                package = name.split(".")[0]
                assert package not in banned, f"{path}:{line}: {prefix} may not import {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_archive_knows_threads_and_processes(path: Path) -> None:
    module = module_of(path)
    if module.startswith(KNOWS_PROCESSES) or not module.startswith("engine"):
        return
    known = {name.split(".")[0] for name, _ in imports(path)}
    assert not known & {"threading", "multiprocessing", "subprocess"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_methods_distillers_and_the_loop_know_no_clock_no_files_and_no_device(path: Path) -> None:
    rooms = ("engine.methods", "engine.distillers", "engine.training", "engine.nets.staged")
    if not module_of(path).startswith(rooms) or path.name == "checkpoint.py":
        return
    known = {name.split(".")[0] for name, _ in imports(path)}
    assert not known & {"time", "logging", "pathlib", "os"}
    assert ".cuda()" not in path.read_text(encoding="utf-8")


def test_a_room_below_never_lists_a_room_above() -> None:
    for name, allowed in MAY_IMPORT.items():
        for other in allowed:
            assert name not in MAY_IMPORT[other], f"{name} and {other} import each other"
