# SPDX-License-Identifier: Apache-2.0
"""MLPerf Tiny's keyword spotter."""

from __future__ import annotations

from .builder import BenchModel, NetworkBuilder

__all__ = ["ds_cnn"]

_BLOCKS = 4


def ds_cnn(seed: int = 0) -> BenchModel:
    """Depthwise separable convolutions on 49 frames of 10 cepstral coefficients: 2,656,768 MACs."""
    net = NetworkBuilder("ds_cnn", (1, 49, 10), low=-123, high=26, seed=seed)
    x = net.conv("input", 64, (10, 4), stride=2, pads=(4, 1, 5, 1))
    for _ in range(_BLOCKS):
        x = net.conv(net.depthwise(x, pads=(1, 1, 1, 1)), 64, (1, 1))
    return net.model(net.softmax(net.gemm(net.flat_average(x), 12)))
