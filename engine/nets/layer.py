"""Layers that several families share."""

from __future__ import annotations

from torch import Tensor, nn


def convolution(
    inputs: int, outputs: int, size: int, *, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution that keeps the map's size at stride 1; no bias, since a norm follows."""
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)


def pooling() -> nn.Sequential:
    """(B, C, H, W) -> (B, C), the mean over the map, whatever its size."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def initialise(net: nn.Module) -> None:
    """He et al., ICCV 2015, eq. 14 with fan out, for convolutions; norms begin as identity."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def shuffle(feature: Tensor, num_groups: int) -> Tensor:
    """(B, C, H, W) -> the same with the channels of all groups taken in turn."""
    batch, channels, height, width = feature.shape
    grouped = feature.reshape(batch, num_groups, channels // num_groups, height, width)
    return grouped.transpose(1, 2).reshape(batch, channels, height, width)
