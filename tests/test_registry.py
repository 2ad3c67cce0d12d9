"""Named parts and their knobs."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from engine.errors import SpecError
from engine.registry import Entry, Registry


class Part:
    """Does something.

    And more of it.
    """

    def __init__(
        self,
        given: int,
        *,
        power: Annotated[int, Field(ge=1, le=8, description="Exponent")] = 2,
        share: Annotated[float, Field(gt=0, lt=1, description="Share")] = 0.5,
        kind: Literal["a", "b"] = "a",
        flip: bool = False,
    ) -> None:
        self.given, self.power, self.share, self.kind, self.flip = given, power, share, kind, flip


@pytest.fixture
def parts() -> Registry[Any]:
    found: Registry[Any] = Registry("part")
    found.register("at", title="AT", source="us", aliases=("attention_map",), family="x")(Part)
    found.register("Net-8x4", title="Net", source="us")(Part)
    return found


@pytest.mark.parametrize("name", ["at", "AT", "A-t", "attention_map", "AttentionMap", "a t"])
def test_a_look_up_forgives_case_hyphens_and_aliases(parts: Registry[Any], name: str) -> None:
    assert parts[name].name == "at"
    assert name in parts


def test_an_unknown_name_is_told_with_the_known_ones(parts: Registry[Any]) -> None:
    with pytest.raises(SpecError, match="no part 'kd'; known: at, Net-8x4"):
        parts["kd"]
    assert "kd" not in parts


def test_a_name_is_taken_once(parts: Registry[Any]) -> None:
    with pytest.raises(SpecError, match="part 'at' is registered twice"):
        parts.register("at", title="", source="")(Part)


def test_a_name_that_may_be_two_is_asked_back(parts: Registry[Any]) -> None:
    parts.register("net_8X4", title="", source="")(Part)
    assert parts["Net-8x4"].name == "Net-8x4", "as it is written it is one"
    with pytest.raises(SpecError, match="may be Net-8x4 or net_8X4; write it as one of these"):
        parts["net8x4"]


def test_a_family_makes_parts_from_numbers_and_is_not_listed(parts: Registry[Any]) -> None:
    @parts.register_family(r"wide_(\d+)")
    def wide(number: str) -> Entry[Any]:
        return Entry("part", f"wide_{number}", number, "us", Part)

    assert parts["WIDE-28"].name == "wide_28"
    assert [entry.name for entry in parts] == ["at", "Net-8x4"]
    assert len(parts) == 2


def test_a_part_is_built_with_the_chosen_knobs_and_its_own_defaults(parts: Registry[Any]) -> None:
    made = parts["at"].make(7, knobs={"power": 3, "kind": "b"})
    assert (made.given, made.power, made.share, made.kind) == (7, 3, 0.5, "b")


def test_knobs_are_converted_to_their_types(parts: Registry[Any]) -> None:
    found = parts["at"].check({"power": "3", "share": "1e-3", "flip": "true"})
    assert found == {"power": 3, "share": 0.001, "flip": True}


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"power": 99}, "at.power = 99 is outside [1, 8]"),
        ({"power": 2.5}, "at.power = 2.5 is not a whole number, within [1, 8]"),
        ({"power": "x"}, "at.power = 'x' is not a whole number, within [1, 8]"),
        ({"share": 0}, "at.share = 0 is outside (0, 1)"),
        ({"share": float("nan")}, "at.share = nan is not a finite number, within (0, 1)"),
        ({"kind": "c"}, "at.kind = 'c' is not one of a, b"),
        ({"flip": "perhaps"}, "at.flip = 'perhaps' is not true or false"),
        ({"size": 1}, "at has no setting 'size'; it has: power, share, kind, flip"),
    ],
)
def test_a_wrong_knob_is_told_in_a_sentence(
    parts: Registry[Any], knobs: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        parts["at"].check(knobs)
    assert caught.value.message == message
    assert caught.value.where == f"at.{next(iter(knobs))}"


def test_an_entry_describes_itself_as_plain_data(parts: Registry[Any]) -> None:
    facts = {"seen": ("a", 1), "deep": {"a": {"b": 1}}, "secret": Part, "below": {"a": {"b": Part}}}
    parts.register("other", title="", source="", **facts)(Part)
    told = json.loads(json.dumps(parts["at"].describe()))
    assert told["help"] == "Does something."
    assert told["aliases"] == ["attention_map"]
    assert told["facts"] == {"family": "x"}
    power = told["knobs"]["power"]
    assert (power["minimum"], power["maximum"], power["default"]) == (1, 8, 2)
    assert power["description"] == "Exponent"
    assert set(parts["other"].describe()["facts"]) == {"seen", "deep"}


def test_a_function_may_be_a_part() -> None:
    found: Registry[Any] = Registry("part")

    @found.register("f", title="F", source="us")
    def build(given: int, *, size: Annotated[int, Field(ge=1)] = 3) -> int:
        """Times."""
        return given * size

    assert found["f"].make(2) == 6
    assert found["f"].make(2, knobs={"size": 5}) == 10
