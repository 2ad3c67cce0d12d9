"""What a published experiment sets is what its distillers say was published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import engine
from engine.assembly import check_parts, is_same_family
from engine.data.batch import Augment, DataSet
from engine.data.tensor_split import TensorSplit
from engine.distillers import DISTILLERS
from engine.jobs import drafted
from engine.methods import METHODS
from engine.runs.presets import Preset, load_presets
from engine.spec import RunSpec
from engine.training.schedule import rate_factor

ALL = [p for p in load_presets(Path(engine.__file__).parent / "presets") if p.published]
PRESETS = [p for p in ALL if p.base["method"]["name"] == "spot_adaptive"]
NAMED = [entry for entry in DISTILLERS if "presets" in entry.facts]
METHOD = METHODS["spot_adaptive"]
ONCE = {p.name.removeprefix("repdistiller-").removeprefix("sakd-"): p for p in PRESETS}


def published(spec: RunSpec, by: str) -> dict[str, Any]:
    """What the distiller of a spec has of its own and of its method's knobs."""
    assert spec.distiller is not None and spec.teacher is not None
    keys = (spec.data.name, f"{spec.teacher.name}-{spec.student.name}")
    found = {}
    for knob, value in DISTILLERS[spec.distiller.name].facts["presets"].get(by, {}).items():
        values = (
            [value[key] for key in keys if key in value] if isinstance(value, dict) else [value]
        )
        found |= dict.fromkeys([knob], values[0]) if values else {}
    return found


@pytest.mark.parametrize("entry", NAMED, ids=lambda entry: entry.name)
def test_named_settings_are_knobs_of_the_distiller_or_of_its_method(entry: Any) -> None:
    own, shared = entry.knobs.model_fields, METHOD.knobs.model_fields
    for settings in entry.facts["presets"].values():
        for knob, value in settings.items():
            part = entry if knob in own else METHOD
            assert knob in own or knob in shared, f"{entry.name}: {knob}"
            for one in value.values() if isinstance(value, dict) else [value]:
                part.check({knob: one})


def test_inheritance_and_exploration_has_the_rates_and_weights_of_its_design() -> None:
    (preset,) = (p for p in ALL if p.name == "ie-cifar10-resnet56-resnet20")
    weights = {}
    for name in ("coder", "at", "ofd"):
        *_, plan = preset.planned({"distiller": name})
        check_parts(plan.spec)
        method = METHODS["inherit_explore"].check(plan.spec.method.knobs)
        weights[name] = (plan.spec.distiller.knobs.get("weight"), method.get("explore_weight"))
    assert weights == {"coder": (None, None), "at": (100.0, 100.0), "ofd": (None, None)}
    schedule = plan.spec.schedule
    rates = [rate_factor(schedule, epoch, 0, 10) * schedule.lr for epoch in (79, 80, 119, 120)]
    assert rates == pytest.approx([0.1, 0.01, 0.01, 0.001])


def test_both_codes_are_told_apart_for_hints() -> None:
    named = DISTILLERS["fitnet"].describe()["facts"]["presets"]
    assert (named["SAKD"]["weight"], named["RepDistiller"]["weight"]) == (1.0, 100.0)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_sets_what_its_distillers_say(preset: Preset) -> None:
    for name in preset.distillers:
        if name not in DISTILLERS or "presets" not in DISTILLERS[name].facts:
            continue
        for plan in preset.planned({"distiller": name}):
            check_parts(plan.spec)
        spec = plan.spec
        assert spec.distiller is not None
        own = {field: f.default for field, f in DISTILLERS[name].knobs.model_fields.items()}
        shared = {field: f.default for field, f in METHOD.knobs.model_fields.items()}
        here = {**shared, **own, **spec.method.knobs, **spec.distiller.knobs}
        assert here == {**shared, **own, **published(spec, preset.by)}, name


@pytest.mark.parametrize("preset", ONCE.values(), ids=lambda preset: preset.name)
def test_a_published_pair_can_be_distilled(preset: Preset) -> None:
    spec = preset.planned()[-1].spec
    size, classes = (64, 200) if spec.data.name == "tiny_imagenet" else (32, 100)
    split = TensorSplit(torch.zeros(4, 3, size, size, dtype=torch.uint8), torch.arange(4))
    names = tuple(map(str, range(classes)))
    data = DataSet(
        spec.data.name, names, (3, size, size), (0,) * 3, (1,) * 3, Augment(), *[split] * 3, ""
    )
    assert drafted(spec, data).spots[-1] == "logits"


@pytest.mark.parametrize("preset", PRESETS[13:], ids=lambda preset: preset.name)
def test_the_policy_begins_with_the_teacher_for_pairs_of_one_family(preset: Preset) -> None:
    """As the authors' code marks them."""
    spec = preset.planned()[-1].spec
    others = ("MobileNetV2", "ResNet50-vgg8", "resnet32x4-resnet32", "ShuffleNetV1")
    assert is_same_family(spec) == (not preset.name.endswith(others))
