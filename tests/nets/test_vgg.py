"""Where VGG pools."""

from __future__ import annotations

import pytest

from engine.errors import SpecError
from engine.nets import taps_of


@pytest.mark.parametrize(("side", "last"), [(32, 4), (64, 4), (128, 8)])
def test_the_last_stage_pools_only_what_is_eight_pixels_or_more(side: int, last: int) -> None:
    taps = taps_of("vgg8", {}, num_classes=10, input_shape=(3, side, side))
    assert taps["stage4"].shape == (512, last, last)


def test_images_that_vanish_in_the_pooling_are_refused() -> None:
    with pytest.raises(SpecError, match="3 x 4 x 4: they are too small"):
        taps_of("vgg8", {}, num_classes=10, input_shape=(3, 4, 4))
