"""What training does to an image and its mask together, by torchvision's transforms."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from engine.data.batch import VOID, Augment


class JointAugment:
    """Scale, crop, mirror, brightness and contrast, drawn anew for each image of a batch.

    The same place of image and mask goes to the same place; a mask's classes are never mixed.
    What lies beyond a scaled image is black and VOID.

    Args:
        size: height and width, of what comes in and of what goes out.
    """

    def __init__(self, augment: Augment, size: tuple[int, int]) -> None:
        steps: list[v2.Transform] = []
        if augment.scale != (1.0, 1.0):
            low, high = (round(scale * min(size)) for scale in augment.scale)
            steps.append(v2.RandomResize(low, high + 1))  # of the shorter side; its end is open
            steps.append(v2.RandomCrop(size, pad_if_needed=True, fill={tv_tensors.Mask: VOID}))
        if augment.flip:
            steps.append(v2.RandomHorizontalFlip())
        if augment.jitter:
            steps.append(v2.ColorJitter(brightness=augment.jitter, contrast=augment.jitter))
        self._transform = v2.Compose(steps) if steps else None

    def __call__(self, images: Tensor, masks: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) uint8, (B, H, W) -> the same shapes.

        Args:
            seed: what is drawn depends on it alone; torch's own generator is left as it was.
        """
        transform = self._transform
        if transform is None:
            return images, masks
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(seed)
            pairs = [
                transform(tv_tensors.Image(image), tv_tensors.Mask(mask))
                for image, mask in zip(images, masks, strict=True)
            ]
        return (
            torch.stack([image.as_subclass(Tensor) for image, _ in pairs]),
            torch.stack([mask.as_subclass(Tensor) for _, mask in pairs]),
        )
