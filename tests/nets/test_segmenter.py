"""What every registered segmenter keeps, without being named."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.nets import NETS, build_net, taps_of
from engine.nets.segmenter import StagedSegmenter
from tests.nets.counted import filled

CLASSES = 7
SHAPE = (3, 32, 48)


@pytest.fixture(
    scope="module", params=[entry.name for entry in NETS if entry.facts.get("task") == "segment"]
)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def net(name: str) -> StagedSegmenter:
    torch.manual_seed(1)
    with torch.device("meta"):
        empty = NETS[name].make(CLASSES, SHAPE)
    net = filled(empty)
    assert isinstance(net, StagedSegmenter)
    return net


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def trace(net: StagedSegmenter, image: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return net.trace(image, inside=True)


def test_stages_go_from_stem_over_the_front_to_logits(name: str, net: StagedSegmenter) -> None:
    first, *_, last = net.names
    assert (first, last) == ("stem", "logits")
    assert "embedding" not in net.names
    assert net.front == NETS[name].facts["front"]
    assert net.front in net.cuts


def test_logits_keep_the_heads_size_and_forward_resizes_them_to_the_image(
    net: StagedSegmenter, image: Tensor, trace: dict[str, Tensor]
) -> None:
    logits = trace["logits"]
    assert logits.shape[:2] == (2, CLASSES)
    assert logits.shape[2:] == trace[net.last_map].shape[2:]
    with torch.no_grad():
        whole = net(image)
    assert whole.shape == (2, CLASSES, *SHAPE[1:]) and whole.isfinite().all()
    resized = F.interpolate(logits, SHAPE[1:], mode="bilinear", align_corners=False)
    assert torch.equal(whole, resized)


def test_resuming_after_each_cut_gives_the_same_logits(
    net: StagedSegmenter, trace: dict[str, Tensor]
) -> None:
    with torch.no_grad():
        for cut in net.cuts:
            assert torch.equal(
                net.resume(trace[cut], after=cut, until="logits"), trace["logits"]
            ), cut


def test_taps_of_the_meta_device_are_the_real_ones(name: str, trace: dict[str, Tensor]) -> None:
    taps = taps_of(name, {}, num_classes=CLASSES, input_shape=SHAPE)
    assert {tap: found.shape for tap, found in taps.items()} == {
        tap: tuple(signal.shape[1:]) for tap, signal in trace.items()
    }
    assert [tap.kind for tap in taps.values()] == ["map"] * (len(taps) - 1) + ["logits"]


def test_what_comes_after_a_relu_is_never_negative_and_the_rest_is(
    net: StagedSegmenter, trace: dict[str, Tensor]
) -> None:
    for tap, facts in net.taps().items():
        assert (facts.after == "relu") == bool((trace[tap] >= 0).all()), tap


def test_training_changes_no_tap_behind_the_back(net: StagedSegmenter, image: Tensor) -> None:
    hidden = image
    net.train()
    for stage in net.stages.values():
        before = hidden.detach().clone()
        after = stage(hidden)
        assert torch.equal(hidden, before)
        hidden = after.detach()
    net.eval()


def test_a_gradient_reaches_every_parameter(net: StagedSegmenter, image: Tensor) -> None:
    net.eval()(image).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    net.zero_grad()


def test_the_classifier_begins_small_enough_to_learn_from() -> None:
    net = build_net("ds128", {}, num_classes=CLASSES, input_shape=SHAPE, seed=0)
    loss = F.cross_entropy(
        net(torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))),
        torch.zeros(4, *SHAPE[1:], dtype=torch.long),
    )
    guessing = torch.tensor(float(CLASSES)).log()
    assert loss < 1.5 * guessing


def test_the_head_of_a_teacher_loads_into_its_students_up_to_the_classes() -> None:
    for teacher, student in (
        ("deeplabv3_resnet50", "ds2048"),
        ("deeplabv3_resnet101", "ds2048"),
        ("bottleneck128", "ds128"),
    ):
        with torch.device("meta"):
            first, second, other = (
                NETS[name].make(classes, SHAPE)
                for name, classes in ((teacher, 21), (student, 21), (student, 19))
            )
        cut = first.names.index(first.front) + 1
        assert first.front == second.front
        assert first.taps()[first.front].shape[0] == second.taps()[first.front].shape[0]
        assert first.names[cut:] == second.names[second.names.index(second.front) + 1 :]
        for name in first.names[cut:]:
            second.stages[name].load_state_dict(first.stages[name].state_dict(), assign=True)
            if name != "logits":
                other.stages[name].load_state_dict(first.stages[name].state_dict(), assign=True)
        head = other.stages["logits"]
        assert isinstance(head, nn.Conv2d) and head.kernel_size == (1, 1)
        assert [tuple(p.shape) for p in head.parameters()] == [(19, head.in_channels, 1, 1), (19,)]
