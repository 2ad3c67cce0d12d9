"""What the two parts of a saved student hold: the jobs, on runs saved by hand."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from PIL import Image
from torch import Tensor, nn

from engine.assembly import load_data, make_method, make_net, make_teacher
from engine.data.device_loader import evaluation_batches
from engine.distillers.coder import Coder
from engine.errors import DataError, SpecError, WeightsError
from engine.jobs import parts as jobs
from engine.jobs.common import CPU, Weights
from engine.jobs.serve import answer
from engine.measures.accuracy import classification_figures
from engine.measures.active_neurons import active_neurons, loss_gradients
from engine.measures.cka import linear_cka
from engine.methods import Method
from engine.methods.split import Split
from engine.nets.staged import StagedNet
from engine.runs.folder import Meta, RunFolder, Workspace
from engine.spec import Choice, RunSpec
from engine.training.checkpoint import Checkpoint, save_checkpoint

AT = (1, 2, 0)
CODER = Choice(name="coder", knobs={"codes": 4, "warm_up_epochs": 1})
PAIRS = ("teacher, inherit", "teacher, explore", "inherit, explore")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DISTILL_WORKSPACE", str(tmp_path / "workspace"))
    return Workspace.open()


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    return spec_of(tmp_path)


def spec_of(folder: Path, distiller: Choice = CODER, **knobs: Any) -> RunSpec:
    plain = tiny.spec_of(tiny.teacher_file(folder), distiller="at").model_dump()
    method = Choice(name="inherit_explore", knobs={"order": "random", **knobs})
    return RunSpec(**{**plain, "method": method, "distiller": distiller, "policy": None})


def together(**knobs: Any) -> RunSpec:
    return tiny.spec_of(**{"method": {"name": "mutual", "knobs": knobs}})


def save(spec: RunSpec, *, nudge: float = 0.3) -> tuple[Weights, Method, RunFolder]:
    """A run whose checkpoint holds a method with disturbed weights, as after some training."""
    workspace = Workspace.open()
    folder = workspace.create(spec, Meta())
    data, runs, device = load_data(spec.data, spec.seed), workspace.path / "runs", CPU
    teacher = make_teacher(spec, data, runs=runs, device=device)
    student = make_net(spec.student, data, runs=runs, seed=spec.seed).net
    method = make_method(spec, data, student, teacher.net if teacher else None, device=device)
    with torch.no_grad():
        for parameter in method.modules.parameters():
            parameter.add_(nudge * torch.randn(parameter.shape))
    checkpoint = Checkpoint(
        position=AT,
        modules=method.modules.state_dict(),
        optimizers={},
        tally={},
        best_figure=0.0,
        best_at=AT,
        circumstances={},
    )
    save_checkpoint(folder.checkpoints / "last.pt", checkpoint)
    method.modules.eval()
    return (folder.id, AT), method, folder


def whole(part: str = "validation") -> list[Any]:
    data = load_data(Choice(name="tiny"), 0)
    return [*evaluation_batches(data.splits[part], data, batch=100, device=CPU)]


def teacher_of(spec: RunSpec) -> StagedNet:
    data = load_data(spec.data, spec.seed)
    loaded = make_teacher(spec, data, runs=Path(), device=CPU)
    assert loaded
    return loaded.net


def halves(method: Method, values: Tensor) -> tuple[Tensor, Tensor]:
    split = method.modules["split"]
    assert isinstance(split, Split)
    inherit, explore = (values[:, split.channels(part, "stage2")] for part in jobs.PARTS)
    return inherit, explore


def test_answers_are_those_of_the_saved_student_and_its_parts(spec: RunSpec) -> None:
    weights, method, _ = save(spec)
    found = jobs.part_answers(weights)
    figures = found["figures"]
    (batch,) = whole()
    student, teacher = method.nets["student"], teacher_of(spec)
    assert found["images"] == tiny.HELD
    assert figures["both"]["accuracy"] == pytest.approx(
        classification_figures(student, [batch])["accuracy"]
    )
    with torch.no_grad():
        linear = student.stages["logits"]
        assert isinstance(linear, nn.Linear)
        pooled = student.trace(batch.image)["stage2"].mean(dim=(2, 3))
        weight, mean = (halves(method, one)[0] for one in (linear.weight, pooled))
        said = (mean @ weight.T + linear.bias).argmax(dim=1)
        agreement = (said == teacher(batch.image).argmax(dim=1)).float().mean()
    assert figures["inherit"]["agreement"] == pytest.approx(float(agreement))


def test_likeness_is_the_cka_of_the_maps_and_of_the_codes(spec: RunSpec) -> None:
    weights, method, _ = save(spec)
    found = jobs.part_likeness(weights)
    (batch,) = whole()
    teacher, student = teacher_of(spec), method.nets["student"]
    split, inherit, explore = (method.modules[name] for name in ("split", *jobs.PARTS))
    assert isinstance(split, Split) and isinstance(inherit, Coder) and isinstance(explore, Coder)
    with torch.no_grad():
        ours, theirs = (net.trace(batch.image, inside=True) for net in (student, teacher))
        codes = [
            coder.project(split.see(part, ours), theirs)[0]
            for part, coder in zip(jobs.PARTS, (inherit, explore), strict=True)
        ]
    maps = (theirs["stage2"], *halves(method, ours["stage2"]))
    known = {"raw": maps, "codes": (codes[0].teacher, codes[0].student, codes[1].student)}
    for kind, (one, two, three) in known.items():
        expected = [linear_cka(*pair) for pair in ((one, two), (one, three), (two, three))]
        values = [found[kind][pair] for pair in PAIRS]
        assert values == pytest.approx([float(value) for value in expected], rel=1e-9)


def test_another_student_is_divided_by_the_same_channels(spec: RunSpec) -> None:
    weights, _, _ = save(spec)
    other, _, _ = save(spec, nudge=0.6)
    itself = jobs.part_likeness(weights, of=weights)
    assert itself == {**jobs.part_likeness(weights), "codes": {}}
    assert jobs.part_likeness(weights, of=other)["raw"] != itself["raw"]
    alone, _, _ = save(tiny.spec_of())
    assert set(jobs.part_likeness(weights, of=alone)["raw"]) == set(PAIRS)


def test_a_map_that_is_always_the_same_has_no_likeness() -> None:
    maps = torch.randn(6, 2, 3, 3), torch.ones(6, 1, 3, 3), torch.randn(6, 1, 3, 3)
    found = jobs._likeness([maps])
    assert [found[pair] is None for pair in PAIRS] == [True, False, True]


def test_a_distiller_without_encoders_has_no_codes(tmp_path: Path) -> None:
    weights, _, _ = save(spec_of(tmp_path, Choice(name="at")))
    assert jobs.part_likeness(weights)["codes"] == {}


@pytest.mark.parametrize("fails", ["inherit", "explore", "both"])
def test_pictures_show_images_of_the_kind_that_was_asked_for(spec: RunSpec, fails: str) -> None:
    weights, _, _ = save(spec)
    found = jobs.part_pictures(weights, fails)
    assert len(found["shown"]) == min(found["images"], jobs.PART_PICTURES)
    for one in found["shown"]:
        assert one["label"] == tiny.CLASSES[one["row"] % len(tiny.CLASSES)]
        assert one["said"][fails] != one["label"]
        assert fails == "both" or one["said"]["both"] == one["label"]
        assert set(one["said"]) == {"teacher", "inherit", "explore", "both"}


def test_a_strip_has_five_tiles_and_the_first_is_the_image(spec: RunSpec) -> None:
    weights, _, _ = save(spec)
    found = jobs.part_pictures(weights, "")
    assert [one["row"] for one in found["shown"]] == [*range(jobs.PART_PICTURES)]
    assert set(found["shown"][0]["said"]) == {"teacher", "both"}
    with Image.open(io.BytesIO(base64.b64decode(found["shown"][3]["image"]))) as strip:
        assert strip.size == (5 * 96 + 4 * 6, 96)
        pixel, gap = strip.getpixel((6, 6)), strip.getpixel((98, 6))
    raw = tiny.split(tiny.HELD, 2).images(torch.tensor([3]))[0, :, 0, 0]
    assert pixel == (*raw.tolist(), 255)
    assert gap[3] == 0


def test_heat_turns_grey_into_amber() -> None:
    strip = jobs._strip(
        torch.full((3, 8, 8), 100, dtype=torch.uint8),
        torch.stack([torch.zeros(8, 8), torch.ones(8, 8), torch.zeros(8, 8), torch.zeros(8, 8)]),
    )
    cold, hot = strip.getpixel((150, 50)), strip.getpixel((250, 50))
    assert cold == (60, 60, 60, 255)
    assert hot[:3] == pytest.approx([60 * 0.15 + 0.85 * colour for colour in jobs.AMBER], abs=1)


def test_active_neurons_are_counted_on_each_part(spec: RunSpec) -> None:
    weights, method, _ = save(spec)
    found = jobs.part_neurons(weights)
    batches, teacher = whole(), teacher_of(spec)
    own = loss_gradients(method.nets["student"], "stage2", batches)
    expected = [loss_gradients(teacher, "stage2", batches), *halves(method, own)]
    assert [found["counts"][name] for name in ("teacher", *jobs.PARTS)] == [
        active_neurons(gradient, found["left_out"]) for gradient in expected
    ]
    assert all(max(counts) < len(tiny.CLASSES) for counts in found["counts"].values())
    sizes = [gradient[0].numel() for gradient in expected]
    assert [*found["sizes"].values()] == sizes


def test_flatness_begins_at_the_loss_and_may_overflow(spec: RunSpec) -> None:
    weights, method, _ = save(spec)
    still = jobs.student_flatness(weights, 0.0)
    loss = classification_figures(method.nets["student"], whole("train"))["loss"]
    assert still == {"images": tiny.TRAIN, "mean": pytest.approx(loss), "std": 0.0}
    assert jobs.student_flatness(weights, 0.05)["std"] > 0
    gone = jobs.student_flatness(weights, 1e30)
    assert gone["mean"] is gone["std"] is None


def test_of_two_nets_that_learn_together_the_other_is_the_teacher() -> None:
    weights, method, _ = save(together(inherit_weight=1.0, explore_weight=1.0))
    found = jobs.part_answers(weights)["figures"]
    (batch,) = whole()
    with torch.no_grad():
        said = [net(batch.image).argmax(dim=1) for net in method.nets.values()]
    assert found["both"]["agreement"] == pytest.approx(float((said[0] == said[1]).float().mean()))
    assert jobs.part_likeness(weights)["codes"]


def test_what_is_split_before_its_relu_is_read_at_the_last_map(tmp_path: Path) -> None:
    weights, _, _ = save(spec_of(tmp_path, Choice(name="ofd")))
    assert jobs._divided(*weights).parts.tap == "stage2"
    assert jobs.part_likeness(weights)["codes"]
    assert jobs.part_answers(weights)["figures"]


def test_where_a_convolution_mixes_the_channels_parts_stay_where_they_were_split() -> None:
    net = tiny.net(tiny.STUDENT).eval()
    split = Split(net.taps(), ["stage1"], ratio=0.5, order="natural", seed=0)
    assert jobs._parts(net, split, "stage1").tap == "stage1"


@pytest.mark.parametrize("knobs", [{}, {"inherit_weight": 1.0, "ratio": 1.0}])
def test_a_student_without_two_parts_is_refused(knobs: dict[str, Any]) -> None:
    weights, _, _ = save(together(**knobs))
    with pytest.raises(SpecError, match="no two parts"):
        jobs.part_answers(weights)


def test_weights_that_were_replaced_are_not_mixed_with_others(spec: RunSpec) -> None:
    weights, _, _ = save(spec)
    run, _ = weights
    with pytest.raises(WeightsError, match="newer weights"):
        jobs.part_answers((run, (1, 1, 0)))


def test_images_that_have_changed_are_told(spec: RunSpec) -> None:
    weights, _, folder = save(spec)
    folder.write_environment({"data set": "another"})
    with pytest.raises(DataError, match="have changed"):
        jobs.part_answers(weights)


def test_some_images_are_spread_over_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PART_IMAGES", 3)
    data = load_data(Choice(name="tiny"), 0)
    (few,) = jobs._few(data, data.validation)
    assert few.index.tolist() == [0, 10, 19]
    (every,) = whole()
    assert torch.equal(few.image, every.image[few.index])
    assert torch.equal(few.target, every.target[few.index])


def test_the_answers_of_all_jobs_are_plain_data_and_take_what_json_makes(spec: RunSpec) -> None:
    weights, _, _ = save(spec)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("part_answers", {}),
        ("part_pictures", {"fails": "both"}),
        ("part_likeness", {"of": weights}),
        ("part_neurons", {}),
        ("student_flatness", {"sigma": 0.01}),
    ]
    for kind, more in asked:
        params = json.loads(json.dumps({"weights": weights, **more}))
        assert "value" in json.loads(json.dumps(answer(kind, params)))
