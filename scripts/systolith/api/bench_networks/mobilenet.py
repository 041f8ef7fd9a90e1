# SPDX-License-Identifier: Apache-2.0
"""MLPerf Tiny's visual wake words network, and blocks as MobileNetV2 has them."""

from __future__ import annotations

from .builder import BenchModel, NetworkBuilder

__all__ = ["inverted_residual", "mobilenet_v1_025"]

_SAME = (1, 1, 1, 1)
_HALF = (0, 0, 1, 1)
"""Of a 3 x 3 window with stride 2 on an even size, as TensorFlow pads it."""

_BLOCKS = (
    *((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)),
    *[(128, 1)] * 5,
    *((256, 2), (256, 1)),
)
"""Output channels and stride of each depthwise separable block."""

_EXPANSION = 6


def _pads(stride: int) -> tuple[int, int, int, int]:
    return _SAME if stride == 1 else _HALF


def mobilenet_v1_025(seed: int = 0) -> BenchModel:
    """MobileNet V1 of a quarter of the width on images of 96 x 96 x 3: 7,489,664 MACs."""
    net = NetworkBuilder("mobilenet_v1_025", (3, 96, 96), low=0, high=1, seed=seed)
    x = net.conv("input", 8, stride=2, pads=_HALF)
    for channels, stride in _BLOCKS:
        x = net.conv(net.depthwise(x, stride=stride, pads=_pads(stride)), channels, (1, 1))
    return net.model(net.softmax(net.gemm(net.flat_average(x), 2)))


def inverted_residual(stride: int, seed: int = 0) -> BenchModel:
    """Expand, depthwise, project on 14 x 14 x 24; with stride 1 the input is added, with 2 there are 32 channels."""
    net = NetworkBuilder(f"inverted_residual_s{stride}", (24, 14, 14), low=-1, high=1, seed=seed)
    x = net.conv("input", 24 * _EXPANSION, (1, 1))
    x = net.depthwise(x, stride=stride, pads=_pads(stride))
    x = net.conv(x, 24 if stride == 1 else 32, (1, 1), relu=False)
    return net.model(net.add("input", x, relu=False) if stride == 1 else x)
