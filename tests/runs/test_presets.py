"""The published experiments: their figures, their settings, and whose runs they speak of."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean, median

import pytest

import engine
from engine.errors import SpecError
from engine.runs.experiment import Planned
from engine.runs.presets import Preset, figures_of, find_preset, load_presets, source_of, tables_of

PRESETS = load_presets(Path(engine.__file__).parent / "presets")
SAKD = [preset for preset in PRESETS if preset.by == "SAKD"]
REPDISTILLER = [preset for preset in PRESETS if preset.by == "RepDistiller"]
TABLES = {
    "same family": SAKD[:5],
    "different families": SAKD[5:10],
    "tiny_imagenet": SAKD[10:],
}
TEN = ["fitnet", "at", "sp", "cc", "vid", "rkd", "pkt", "ft", "nst", "crd"]


def gains(presets: list[Preset]) -> list[float]:
    """What the policy adds, in points, for every cell that has both figures."""
    return [
        round(row[1] - row[0], 2)
        for preset in presets
        if preset.published is not None
        for row in preset.published.rows.values()
        if len(row) == 2
    ]


def sakd(pair: str, data: str = "cifar100") -> Preset:
    return find_preset(PRESETS, f"sakd-{data}-{pair}")


def taught(preset: Preset, **settings: object) -> Planned:
    return preset.planned(settings)[-1]


def test_the_figures_are_those_that_were_printed() -> None:
    every = gains(SAKD)
    assert len(every) == 149
    assert sum(gain > 0 for gain in every) == 138
    assert round(fmean(every), 2) == 0.31
    assert round(median(every), 2) == 0.26


@pytest.mark.parametrize(
    ("table", "cells", "mean", "ahead", "lowest", "highest"),
    [
        ("same family", 50, 0.26, 47, -0.04, 1.14),
        ("different families", 49, 0.24, 44, -0.49, 0.68),
        ("tiny_imagenet", 50, 0.43, 47, -0.19, 1.86),
    ],
)
def test_each_table_has_its_cells(
    table: str, cells: int, mean: float, ahead: int, lowest: float, highest: float
) -> None:
    found = gains(TABLES[table])
    assert (len(found), round(fmean(found), 2)) == (cells, mean)
    assert (sum(gain > 0 for gain in found), min(found), max(found)) == (ahead, lowest, highest)


def test_every_pair_has_ten_distillers_but_one_without_nst() -> None:
    for preset in SAKD:
        expected = [name for name in TEN if name != "nst" or "ResNet50-vgg8" not in preset.name]
        assert preset.published is not None and list(preset.published.rows) == expected
        assert list(preset.distillers) == TEN
    assert "There is no figure for NST." in sakd("ResNet50-vgg8").note


def test_teacher_alone_and_kd_of_one_pair_are_the_same_in_both_benchmarks() -> None:
    """On CIFAR-100 SAKD took them from RepDistiller."""
    theirs = {preset.name.split("-", 2)[2]: preset.published for preset in REPDISTILLER}
    shared = 0
    for preset in SAKD[:10]:
        ours, other = preset.published, theirs.get(preset.name.split("-", 2)[2])
        if ours and other:
            assert (ours.teacher, ours.alone, ours.kd) == (other.teacher, other.alone, other.kd)
            shared += 1
    assert shared == 9  # all but resnet32x4 -> resnet32


def test_what_is_printed_beside_a_pair_but_is_of_other_nets_is_marked() -> None:
    marked = {p.name: p.published.misplaced for p in SAKD if p.published and p.published.misplaced}
    assert marked == {
        "sakd-cifar100-vgg13-MobileNetV2": ("alone", "kd"),
        "sakd-cifar100-ResNet50-MobileNetV2": ("alone", "kd"),
        "sakd-cifar100-resnet32x4-resnet32": ("teacher", "kd"),
    }
    for name in marked:
        assert "not shown" in find_preset(PRESETS, name).note
    assert "72.86 would fit" in sakd("vgg13-MobileNetV2").note


def test_there_is_one_preset_for_each_published_pair() -> None:
    assert [preset.name for preset in SAKD] == [
        *(f"sakd-cifar100-{pair}" for pair in ("resnet56-resnet20", "resnet110-resnet32")),
        *(f"sakd-cifar100-{pair}" for pair in ("resnet32x4-resnet8x4", "vgg13-vgg8")),
        *(f"sakd-cifar100-{pair}" for pair in ("wrn_40_2-wrn_16_2", "vgg13-MobileNetV2")),
        *(f"sakd-cifar100-{pair}" for pair in ("ResNet50-MobileNetV2", "ResNet50-vgg8")),
        *(f"sakd-cifar100-{pair}" for pair in ("resnet32x4-resnet32", "wrn_40_2-ShuffleNetV1")),
        *(f"sakd-tiny-imagenet-{pair}" for pair in ("resnet56-resnet20", "resnet110-resnet20")),
        *(f"sakd-tiny-imagenet-{pair}" for pair in ("vgg13-vgg8", "wrn_40_2-wrn_16_2")),
        "sakd-tiny-imagenet-vgg13-MobileNetV2",
    ]
    assert len(REPDISTILLER) == 13


@pytest.mark.parametrize("preset", SAKD + REPDISTILLER, ids=lambda preset: preset.name)
def test_a_published_experiment_has_the_published_schedule(preset: Preset) -> None:
    teacher, *rest = preset.planned()
    assert teacher.role == "teacher" and teacher.spec.method.name == "alone"
    for plan in (teacher, *rest):
        spec, schedule = plan.spec, plan.spec.schedule
        slow = {"MobileNetV2", "ShuffleNetV1", "ShuffleNetV2"}
        assert schedule.lr == (0.01 if spec.student.name in slow else 0.05)
        assert (schedule.epochs, schedule.batch, schedule.momentum) == (240, 64, 0.9)
        assert (schedule.weight_decay, schedule.factor, schedule.warm_up) == (5e-4, 0.1, 0.0)
        assert (schedule.decay, schedule.milestones) == ("step", (150, 180, 210))
        assert not schedule.nesterov and not schedule.drop_last
        if spec.student.name == "MobileNetV2":
            assert spec.student.knobs == ({"width": 1.0} if preset.by == "SAKD" else {})
        if plan.role == "student":
            assert spec.teacher and spec.teacher.weights == "run:0"
            assert spec.teacher.name == teacher.spec.student.name
    policies = [plan.spec.policy.name for plan in rest if plan.spec.policy]
    assert policies == (["all", "learned"] if preset.by == "SAKD" else ["all"])
    assert [plan.role for plan in rest] == ["alone", *("student" for _ in policies)]
    seeds = {plan.spec.seed for plan in (teacher, *rest)}
    assert seeds == ({1029} if preset.by == "SAKD" else {0})


def test_a_distiller_brings_what_was_published_for_it() -> None:
    preset = sakd("wrn_40_2-ShuffleNetV1")
    for name, gamma, batch in (("at", 2.0, 64), ("sp", None, 64), ("nst", None, 32)):
        _, alone, _, last = preset.planned({"distiller": name})
        assert last.spec.distiller and last.spec.distiller.name == name
        assert last.spec.method.knobs.get("gamma") == gamma
        assert last.spec.schedule.batch == alone.spec.schedule.batch == batch
    assert taught(sakd("ResNet50-vgg8"), distiller="ft").spec.distiller.knobs == {  # type: ignore[union-attr]
        "warm_up_lr": 0.05
    }
    hint = taught(find_preset(PRESETS, "repdistiller-cifar100-vgg13-vgg8"), distiller="fitnet")
    assert hint.spec.distiller and hint.spec.distiller.knobs == {"weight": 100.0}
    assert hint.spec.method.knobs == {"logits_weight": 0.0}


def test_what_a_person_sets_stands_above_the_preset() -> None:
    preset = sakd("resnet56-resnet20")
    planned = preset.planned(
        {
            "distiller": "rkd",
            "method.knobs.gamma": 3.0,
            "schedule.batch": 16,
            "policy": "learned",
            "policy.knobs.warm_start": 0.0,
            "seed": 7,
        }
    )
    assert [plan.role for plan in planned] == ["teacher", "alone", "student"]
    last = planned[-1].spec
    assert last.method.knobs == {"gamma": 3.0}
    assert last.policy is not None and last.policy.knobs == {"warm_start": 0.0}
    assert {(plan.spec.schedule.batch, plan.spec.seed) for plan in planned} == {(16, 7)}


def test_a_teacher_that_a_person_has_is_not_trained() -> None:
    preset = sakd("vgg13-MobileNetV2")
    planned = preset.planned({"teacher.weights": "/teachers/vgg13.pth"})
    assert [plan.role for plan in planned] == ["alone", "student", "student"]
    for plan in planned[1:]:
        assert plan.spec.teacher and plan.spec.teacher.weights == "/teachers/vgg13.pth"


def test_another_teacher_is_trained_first_like_the_preset_s_own() -> None:
    first, *_, last = sakd("resnet56-resnet20").planned({"teacher": "resnet110"})
    assert first.spec.student.name == "resnet110"
    assert last.spec.teacher and last.spec.teacher.name == "resnet110"
    assert last.spec.teacher.weights == "run:0"


def figures(spec_of: Planned, distiller: str) -> dict[str, float]:
    return figures_of(tables_of(PRESETS, spec_of.spec), distiller)


def test_figures_name_their_source_and_are_shares() -> None:
    plan = taught(sakd("resnet32x4-resnet8x4"))
    assert figures(plan, "at") == pytest.approx(
        {
            "RepDistiller: teacher": 0.7942,
            "RepDistiller: student alone": 0.7250,
            "RepDistiller: KD": 0.7333,
            "RepDistiller: AT": 0.7344,
            "SAKD: AT standard": 0.7516,
            "SAKD: AT adaptive": 0.7542,
        }
    )
    assert list(figures(plan, "dkd")) == list(figures(plan, "kd")) == [*figures(plan, "at")][:3]
    source = source_of(tables_of(PRESETS, plan.spec))
    assert "CIFAR-100" in source and "one seed, best test epoch" in source
    assert not source.endswith(".")


def test_figures_of_other_nets_are_left_out() -> None:
    whole = figures(taught(sakd("vgg13-MobileNetV2")), "vid")
    assert list(whole) == ["SAKD: teacher", "SAKD: VID standard", "SAKD: VID adaptive"]
    half = figures(taught(find_preset(PRESETS, "repdistiller-cifar100-vgg13-MobileNetV2")), "crd")
    assert half["RepDistiller: student alone"] == pytest.approx(0.6460)
    assert half["RepDistiller: CRD"] == pytest.approx(0.6973)
    assert not any(name.startswith("SAKD") for name in half)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "cifar10"},
        {"data": "tiny_imagenet"},
        {"teacher.name": "resnet44"},
        {"teacher.knobs": {"shortcut": "A"}},
        {"student.name": "resnet44"},
        {"student.knobs": {"shortcut": "A"}},
        {"method": "alone", "teacher": None, "distiller": None, "policy": None},
    ],
)
def test_figures_are_never_shown_for_other_nets_data_or_methods(
    changes: dict[str, object],
) -> None:
    spec = taught(sakd("resnet110-resnet32")).spec
    assert tables_of(PRESETS, spec)
    assert tables_of(PRESETS, spec.replace(**changes)) == []


def test_a_benchmark_that_describes_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("title: x\nby: me\nsource: y\nmeasured: z\npairs: [{}]")
    with pytest.raises(SpecError, match=r"preset bad\.yaml: .* is missing"):
        load_presets(tmp_path)
