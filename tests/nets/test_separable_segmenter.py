"""The compact students against the tables of the design."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.nets import NETS, build_net
from engine.nets.separable_segmenter import Separable
from engine.nets.weights import guess_net
from tests.nets.counted import FRONT, HEAD, Counted, counted

TEACHER = 169.047e9  # fvcore's count at 520x520, tested with torchvision's nets
PLAIN_TEACHER = 168.729e9


@pytest.fixture(scope="module")
def student() -> Counted:
    return counted("ds2048", 19, (520, 520))


@pytest.mark.parametrize(
    ("part", "side", "channels", "cost", "parameters"),
    [
        ("stem", 260, 32, 62.7, 928),
        ("stage1.0", 130, 64, 42.7, 2_528),
        ("stage1.1", 130, 64, 83.3, 4_928),
        ("stage2.0", 65, 128, 38.7, 9_152),
        *((f"stage2.{n}", 65, 128, 76.3, 18_048) for n in range(1, 6)),
        ("stage3.0", 65, 256, 146.6, 34_688),
        *((f"stage3.{n}", 65, 256, 291.0, 68_864) for n in range(1, 5)),
        *((f"stage4.{n}", 65, 256, 291.0, 68_864) for n in range(2)),
        ("stage4.2", 65, 2048, 2_232.4, 528_384),
    ],
)
def test_each_layer_of_ds2048_is_that_of_the_table(
    student: Counted, part: str, side: int, channels: int, cost: float, parameters: int
) -> None:
    """In millions, as fvcore counts."""
    found = student.of(part)
    assert found.parameters == parameters
    assert found.fvcore / 1e6 == pytest.approx(cost, abs=0.051)
    stage, _, last = part.partition(".")
    tap = student.net.taps()[stage]
    assert tap.shape[1:] == (side, side)
    if int(last or 0) + 1 == len(list(student.net.stages[stage])) or part == "stem":
        assert tap.shape[0] == channels


def test_ds2048_costs_what_the_table_says(student: Counted) -> None:
    front, head, whole = student.of(*FRONT), student.of(*HEAD), student.of()
    assert (front.parameters, whole.parameters) == (1_084_032, 17_214_355)
    assert front.fvcore / 1e6 == pytest.approx(4_733, abs=0.51)
    assert front.plain / 1e6 == pytest.approx(4_663, abs=0.51)
    assert (front.fvcore + head.fvcore) / 1e6 == pytest.approx(70_680, abs=0.51)
    assert whole.plain / 1e6 == pytest.approx(70_583, abs=0.51)
    assert (front.fvcore + head.fvcore) / TEACHER == pytest.approx(0.4181, abs=6e-5)
    assert whole.fvcore / TEACHER == pytest.approx(0.4182, abs=6e-5)
    assert whole.plain / PLAIN_TEACHER == pytest.approx(0.4183, abs=6e-5)
    assert whole.parameters / 39_638_355 == pytest.approx(0.434, abs=6e-4)
    assert head.plain / whole.plain == pytest.approx(0.93, abs=6e-3)
    assert 103.080e9 / front.fvcore == pytest.approx(21.8, abs=0.06)
    large = counted("ds2048", 19, (512, 1024))
    assert large.of(*FRONT, *HEAD).fvcore / 1e9 == pytest.approx(137.0, abs=0.06)
    assert large.of(*FRONT).fvcore / 1e9 == pytest.approx(9.2, abs=0.06)


@pytest.mark.parametrize(
    ("repeats", "share"),
    [
        ((3, 5, 2), 41.68),
        ((4, 5, 2), 41.72),
        ((6, 5, 2), 41.81),
        ((3, 5, 3), 41.85),
        ((3, 4, 2), 41.50),
    ],
)
def test_other_numbers_of_blocks_cost_what_the_text_says(
    repeats: tuple[int, int, int], share: float
) -> None:
    knobs = {f"num_stage{stage}": count for stage, count in enumerate(repeats, 2)}
    found = counted("ds2048", 19, (520, 520), **knobs).of(*FRONT, *HEAD)
    assert 100 * found.fvcore / TEACHER == pytest.approx(share, abs=6e-3)


def test_ds128_costs_two_fifths_of_its_teacher() -> None:
    student, teacher = counted("ds128", 7, (48, 96)), counted("bottleneck128", 7, (48, 96))
    assert student.of(*FRONT).parameters == 27_344
    assert student.of().parameters == pytest.approx(96_700, abs=50)
    assert student.of().plain / 1e6 == pytest.approx(26.9, abs=0.06)
    assert student.of().plain / teacher.of().plain == pytest.approx(0.402, abs=6e-4)


@pytest.mark.parametrize("size", [(48, 96), (64, 128)])
@pytest.mark.parametrize("width", [72, 80])
def test_ds128_stays_under_42_per_cent(size: tuple[int, int], width: int) -> None:
    student = counted("ds128", 7, size, width=width).of()
    teacher = counted("bottleneck128", 7, size).of()
    assert student.plain <= 0.42 * teacher.plain
    assert student.fvcore <= 0.42 * teacher.fvcore


def test_a_wider_ds128_costs_what_the_text_says() -> None:
    student = counted("ds128", 7, (64, 128), width=80)
    teacher = counted("bottleneck128", 7, (64, 128))
    assert student.of(*FRONT).parameters == 30_280
    assert student.of().plain / 1e6 == pytest.approx(49.32, abs=6e-3)
    assert teacher.of().plain / 1e6 == pytest.approx(119.10, abs=6e-3)
    assert student.of().plain / teacher.of().plain == pytest.approx(0.414, abs=6e-4)


def test_a_block_adds_its_input_where_the_shapes_agree() -> None:
    feature = torch.rand(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    block = Separable(4, 4, dilation=2).eval()
    for norm in (block.depthwise[1], block.pointwise[1]):
        nn.init.zeros_(norm.weight)
    assert torch.equal(block(feature), feature)
    assert not Separable(4, 4, stride=2).has_shortcut
    assert not Separable(4, 6).has_shortcut


def test_a_student_begins_at_random_with_its_seed() -> None:
    image = torch.randn(1, 3, 48, 96, generator=torch.Generator().manual_seed(0))
    nets = [build_net("ds128", {}, num_classes=3, input_shape=(3, 48, 96), seed=s) for s in (1, 1)]
    with torch.no_grad():
        first, same = (net.eval()(image) for net in nets)
    assert torch.equal(first, same) and first.shape == (1, 3, 48, 96)


def test_a_student_is_recognised_by_its_weights() -> None:
    with torch.device("meta"):
        state = NETS["ds2048"].make(19, (3, 64, 64)).state_dict()
    assert guess_net(state) == ("ds2048", {})
