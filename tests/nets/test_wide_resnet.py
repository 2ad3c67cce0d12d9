"""Names of wide ResNets."""

from __future__ import annotations

import pytest
import torch

from engine.errors import SpecError
from engine.nets import NETS


def test_any_depth_and_width_can_be_named() -> None:
    with torch.device("meta"):
        net = NETS["WRN-28-10"].make(10, (3, 32, 32))
    assert sum(p.numel() for p in net.parameters()) == 36_479_194  # the paper: 36.5 million
    assert NETS["wrn_28_10"].facts["family"] == NETS["wrn_16_2"].facts["family"]


@pytest.mark.parametrize("name", ["wrn_17_2", "wrn_4_1", "wrn_1000_1", "wrn_16_0", "wrn_16_99"])
def test_a_depth_or_width_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match=name):
        NETS[name]
