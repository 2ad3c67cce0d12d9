"""The choice of a precision, with the clock in our hands."""

from __future__ import annotations

import pytest
import tiny
import torch

from engine.measures import precision
from engine.measures.precision import faster_precision


@pytest.mark.parametrize(
    ("half", "expected"), [(0.5, "bfloat16"), (0.95, "float32"), (2.0, "float32")]
)
def test_half_precision_is_taken_where_it_gains_a_tenth(
    monkeypatch: pytest.MonkeyPatch, half: float, expected: str
) -> None:
    def step(student: object, teacher: object, image: object, kind: torch.dtype) -> float:
        return half if kind is torch.bfloat16 else 1.0

    monkeypatch.setattr(precision, "_step", step)
    found, gain = faster_precision(tiny.net(tiny.STUDENT), None, tiny.batch_of().image)
    assert (found, gain) == (expected, 1 / half)


def test_nothing_changes_by_being_timed() -> None:
    student, teacher = tiny.net(tiny.STUDENT, seed=1), tiny.net(tiny.TEACHER, seed=2).eval()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    torch.manual_seed(5)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    faster_precision(student, teacher, tiny.batch_of().image)
    assert torch.equal(torch.rand(3), drawn)
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())
    assert all(p.grad is None for p in student.parameters())
