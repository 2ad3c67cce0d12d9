"""What several tests of nets use."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def images() -> torch.Tensor:
    """(2, 3, 32, 32), the same at every call."""
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
