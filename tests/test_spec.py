"""A run as plain data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import SpecError
from engine.spec import Choice, NetChoice, RunSpec, Schedule, parse_spec, read_spec

PLAIN = RunSpec(
    data=Choice(name="shapes"), student=NetChoice(name="resnet8"), method=Choice(name="alone")
)
FULL = RunSpec(
    data=Choice(name="shapes", knobs={"num_train": 100, "flip": False}),
    teacher=NetChoice(name="resnet14", knobs={"shortcut": "A"}, weights="run:abc"),
    student=NetChoice(name="resnet8", weights="yes: no # [x] 'é'"),
    method=Choice(name="spot_adaptive", knobs={"gamma": 2.0, "quota": 1e-7, "temperature": 4.0}),
    distiller=Choice(name="at", knobs={"weight": 1e5, "power": 2}),
    policy=Choice(name="learned", knobs={"warm_start": 0}),
    schedule=Schedule(epochs=3, lr=0.1 + 0.2, milestones=(1, 2), decay="step", warm_up=1 / 3),
    seed=2**31 - 1,
    select_on="test",
    device="cuda:1",
    threads=3,
    precision="bfloat16",
)


@pytest.mark.parametrize("spec", [PLAIN, FULL], ids=["plain", "full"])
def test_a_spec_comes_back_exactly(spec: RunSpec) -> None:
    for text in (spec.to_json(), spec.to_yaml()):
        found = parse_spec(text)
        assert found == spec
        assert found.hash() == spec.hash()
        assert found.to_json() == spec.to_json()
        kinds = [type(value) for value in found.method.knobs.values()]
        assert kinds == [type(value) for value in spec.method.knobs.values()]


def test_knobs_keep_their_kind() -> None:
    knobs = {"a": True, "b": 1, "c": 1.0, "d": "1", "e": "true", "f": "1e-3", "g": "null"}
    spec = PLAIN.replace(**{"data.knobs": knobs})
    for text in (spec.to_json(), spec.to_yaml()):
        found = parse_spec(text).data.knobs
        assert [(k, type(v), v) for k, v in found.items()] == [
            (k, type(v), v) for k, v in knobs.items()
        ]


def test_yaml_leaves_defaults_out() -> None:
    assert PLAIN.to_yaml() == (
        "data:\n  name: shapes\nstudent:\n  name: resnet8\nmethod:\n  name: alone\n"
    )


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        (
            {"schedule": {"epochs": 0}},
            "schedule.epochs",
            "schedule.epochs = 0 is outside [1, 2000]",
        ),
        ({"schedule": {"lr": 0}}, "schedule.lr", "schedule.lr = 0 is outside (0, 10]"),
        (
            {"schedule": {"epochs": "many"}},
            "schedule.epochs",
            "schedule.epochs = 'many' is not a whole number, within [1, 2000]",
        ),
        (
            {"schedule": {"decay": "linear"}},
            "schedule.decay",
            "schedule.decay = 'linear' is not one of constant, step, cosine, poly",
        ),
        (
            {"schedule": {"lr": float("nan")}},
            "schedule.lr",
            "schedule.lr = nan is not a finite number, within (0, 10]",
        ),
        ({"seed": -1}, "seed", "seed = -1 is outside [0, 2147483648)"),
        (
            {"teacher": {"name": "a", "size": 1}},
            "teacher.size",
            "teacher has no setting 'size'; it has: name, knobs, weights",
        ),
        ({"teacher": {"weights": "x"}}, "teacher.name", "teacher.name is missing"),
        ({"student": None}, "student", "student = None is not a list of settings"),
        ({"method": 3}, "method", "method = 3 is not a list of settings"),
        ({"data": {"name": 3}}, "data.name", "data.name = 3 is not a text"),
    ],
)
def test_a_wrong_setting_is_told_in_a_sentence_with_its_place(
    changes: dict[str, Any], where: str, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        read_spec({**json.loads(PLAIN.to_json()), **changes})
    assert (caught.value.where, caught.value.message) == (where, message)


def test_an_unknown_setting_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"a run has no setting 'sead'; it has: .*seed") as caught:
        read_spec({**json.loads(PLAIN.to_json()), "sead": 1})
    assert caught.value.where == "sead"


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "CPU", "cpu "])
def test_a_device_that_is_none_is_refused(device: str) -> None:
    with pytest.raises(SpecError, match=r"^device = .*auto, cpu, cuda or cuda:N"):
        PLAIN.replace(device=device)


def test_a_knob_that_is_no_plain_value_is_refused_at_its_own_place() -> None:
    with pytest.raises(SpecError) as caught:
        PLAIN.replace(**{"data.knobs": {"size": [1, 2]}})
    assert caught.value.where == "data.knobs.size"
    assert "[1, 2]" in caught.value.message


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "12", "[]"])
def test_a_text_that_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="a spec is a list of settings"):
        parse_spec(text)


def test_a_text_that_is_no_yaml_is_told_with_its_line() -> None:
    with pytest.raises(SpecError, match="line 2 cannot be read"):
        parse_spec("seed: 1\ndata: }\n")


def test_replacing_sets_paths_and_leaves_the_old_spec_alone() -> None:
    before = FULL.to_json()
    found = FULL.replace(
        **{
            "schedule.epochs": 9,
            "policy": "random",
            "distiller.knobs.power": 4,
            "teacher": None,
            "data.knobs.seed": 3,
        }
    )
    assert FULL.to_json() == before
    assert found.schedule.epochs == 9
    assert found.policy == Choice(name="random")
    assert found.distiller == Choice(name="at", knobs={"weight": 1e5, "power": 4})
    assert found.teacher is None
    assert found.data.knobs == {"num_train": 100, "flip": False, "seed": 3}


def test_a_part_may_be_set_where_there_was_none() -> None:
    found = PLAIN.replace(**{"distiller.name": "at", "distiller.knobs.power": 3})
    assert found.distiller == Choice(name="at", knobs={"power": 3})


def test_a_path_through_a_value_is_refused() -> None:
    with pytest.raises(SpecError, match=r"seed\.x cannot be set: seed has no settings") as caught:
        PLAIN.replace(**{"seed.x": 1})
    assert caught.value.where == "seed.x"


def test_a_hash_changes_with_every_setting() -> None:
    changes: list[dict[str, Any]] = [
        *({"seed": 1}, {"threads": 2}, {"schedule.lr": 0.06}, {"data.knobs.flip": False}),
        *({"student.weights": "x"}, {"method": "other"}, {"select_on": "test"}),
    ]
    hashes = {PLAIN.hash(), *(PLAIN.replace(**change).hash() for change in changes)}
    assert len(hashes) == len(changes) + 1
    assert all(len(digest) == 12 for digest in hashes)


def test_a_setting_that_is_added_later_changes_no_hash() -> None:
    class Later(RunSpec):
        more: int = 3

    later = Later.model_validate(FULL.model_dump())
    assert later.hash() == FULL.hash()
    assert later.baseline_hash() == FULL.baseline_hash()
    assert later.model_copy(update={"more": 4}).hash() != FULL.hash()


def test_a_baseline_shares_everything_but_the_teaching() -> None:
    alone = FULL.replace(teacher=None, distiller=None, policy=None, method="alone")
    assert alone.baseline_hash() == FULL.baseline_hash()
    assert alone.replace(save_every=5).baseline_hash() == FULL.baseline_hash()
    for change in ({"seed": 5}, {"schedule.epochs": 4}, {"student.knobs.shortcut": "A"}):
        assert alone.replace(**change).baseline_hash() != FULL.baseline_hash()


def test_a_spec_is_a_value() -> None:
    with pytest.raises(ValueError, match="frozen"):
        PLAIN.seed = 3  # type: ignore[misc]
