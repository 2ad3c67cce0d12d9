"""Where in an image each part finds a class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.errors import SpecError
from engine.measures.parts import Parts, gradient_at
from engine.nets.staged import StagedNet


@dataclass(frozen=True, slots=True)
class PartMaps:
    """Maps over K images, each (K, H, W) float32 from 0 to 1."""

    inherit: Tensor
    explore: Tensor
    whole: Tensor
    teacher: Tensor


def part_maps(
    student: StagedNet, teacher: StagedNet, parts: Parts, image: Tensor, target: Tensor
) -> PartMaps:
    """Grad-CAM of one class by each part, by the whole student and by the teacher.

    The student's three maps of an image share one scale, so that their strengths compare; the
    teacher's has its own. What speaks against the class is 0. The teacher is read at its last map.

    Args:
        student, teacher: in evaluation mode.
        parts: of the student's map.
        image: (K, 3, H, W).
        target: (K,) int64 the class of each image to be explained.

    Raises:
        SpecError: as for channel_maps.
    """
    channels = channel_maps(student, parts.tap, image, target)
    signed = [part.sum(dim=1) for part in (*parts.of(channels), channels)]
    theirs = channel_maps(teacher, teacher.last_map, image, target).sum(dim=1)
    height, width = image.shape[2:]
    inherit, explore, whole = _shown(torch.stack(signed, dim=1), height, width).unbind(dim=1)
    return PartMaps(inherit, explore, whole, _shown(theirs[:, None], height, width)[:, 0])


def channel_maps(net: StagedNet, tap: str, image: Tensor, target: Tensor) -> Tensor:
    """(K, C, h, w) what each channel of a map adds to Grad-CAM, signed; summed it is the whole.

    The channel times the mean over the map of the logit's gradient by it: Selvaraju et al.,
    ICCV 2017, eqs. 1 and 2 before the sum and the ReLU. Under mean pooling and one linear layer
    the sum over the map is what the channel adds to the logit.

    Raises:
        SpecError: as for divide, or the tap is no map.
    """

    def logit(logits: Tensor) -> Tensor:
        return logits.gather(1, target[:, None])[:, 0]

    feature, gradient = gradient_at(net, tap, image, logit)
    if feature.ndim != 4:
        raise SpecError(f"{tap} is no map: it has no places to show")
    return gradient.mean(dim=(2, 3), keepdim=True) * feature


def _shown(signed: Tensor, height: int, width: int) -> Tensor:
    """(K, P, h, w) -> (K, P, height, width) from 0 to 1; the highest of an image's P maps is 1."""
    large = F.interpolate(
        signed.float().relu(), (height, width), mode="bilinear", align_corners=False
    )
    highest = large.amax(dim=(1, 2, 3), keepdim=True)
    return torch.where(highest > 0, large / highest, 0.0)
