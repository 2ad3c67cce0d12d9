"""What the README says is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.cli import app
from engine.jobs import REGISTRIES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PARTS = [(kind, entry.name) for kind, registry in REGISTRIES.items() for entry in registry]


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_registered_part_has_its_place_in_the_readme(kind: str, name: str) -> None:
    assert f"`{name}`" in README, f"{kind}: {name} is missing"


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_registered_part_says_what_it_is_and_where_it_comes_from(
    kind: str, name: str
) -> None:
    told = REGISTRIES[kind][name].describe()
    assert told["title"] and told["source"] and told["help"], f"{kind}: {name}"
    for knob, schema in told["knobs"].items():
        assert schema.get("description"), f"{name}.{knob} has no description"
        assert "default" in schema, f"{name}.{knob} has no default"
        kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", ()))}
        if kinds & {"integer", "number"}:
            bounds = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
            assert all(bound & set(schema) for bound in bounds), f"{name}.{knob} has no range"


def test_the_readme_names_every_preset_and_command() -> None:
    names = [path.stem for path in (ROOT / "engine" / "presets").glob("*.yaml")]
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    for name in names:
        assert f"`{name}`" in README
    for command in commands:
        assert f"python -m engine {command}" in README, command


def test_the_links_of_the_readmes_lead_somewhere() -> None:
    for path in (ROOT / "README.md", ROOT / "engine" / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_readme_first_shows_the_two_commands() -> None:
    commands = re.findall(r"^    (make \w+)", README, flags=re.MULTILINE)
    assert commands[:2] == ["make run", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in set(re.findall(r"make (\w+)", README)):
        if command not in ("a", "them"):
            assert f"\n{command}:" in makefile or f"{command}:" in makefile, command
