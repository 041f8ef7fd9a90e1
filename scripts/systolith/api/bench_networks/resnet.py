# SPDX-License-Identifier: Apache-2.0
"""Residual networks on images of 32 x 32 x 3: MLPerf Tiny's image classifier, and one shaped like ResNet-20."""

from __future__ import annotations

from .builder import BenchModel, NetworkBuilder

__all__ = ["resnet8", "resnet20"]

_SAME = (1, 1, 1, 1)
_HALF = (0, 0, 1, 1)
"""Of a 3 x 3 window with stride 2 on an even size, as TensorFlow pads it."""


def _block(net: NetworkBuilder, x: str, channels: int, stride: int) -> str:
    """Two convolutions, around them a short cut that has a convolution of its own where the size changes."""
    skip = x if stride == 1 else net.conv(x, channels, (1, 1), stride=stride, relu=False)
    y = net.conv(x, channels, stride=stride, pads=_SAME if stride == 1 else _HALF)
    return net.add(skip, net.conv(y, channels, pads=_SAME, relu=False))


def _resnet(name: str, blocks: int, seed: int) -> BenchModel:
    """Stages of 16, 32 and 64 channels with ``blocks`` blocks each."""
    net = NetworkBuilder(name, (3, 32, 32), low=0, high=255, seed=seed)
    x = net.conv("input", 16, pads=_SAME)
    for stage, channels in enumerate((16, 32, 64)):
        for block in range(blocks):
            x = _block(net, x, channels, 2 if stage and not block else 1)
    return net.model(net.softmax(net.gemm(net.flat_average(x), 10)))


def resnet8(seed: int = 0) -> BenchModel:
    """MLPerf Tiny's image classifier: a block a stage, 12,501,632 MACs."""
    return _resnet("resnet8", 1, seed)


def resnet20(seed: int = 0) -> BenchModel:
    """Three blocks a stage."""
    return _resnet("resnet20", 3, seed)
