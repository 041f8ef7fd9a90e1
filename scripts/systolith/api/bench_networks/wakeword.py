# SPDX-License-Identifier: Apache-2.0
"""A network shaped like MLPerf Tiny's streaming wake word detector: depthwise along the time alone."""

from __future__ import annotations

from .builder import BenchModel, NetworkBuilder

__all__ = ["streaming_wakeword"]

_BLOCKS = ((3, 128), (5, 128), (10, 128), (15, 32))
"""Taps and output channels."""


def streaming_wakeword(seed: int = 0) -> BenchModel:
    """Four blocks on 30 frames of 40 mel bands: 826,368 MACs."""
    net = NetworkBuilder("streaming_wakeword", (40, 30, 1), low=0, high=1, seed=seed)
    x = "input"
    for taps, channels in _BLOCKS:
        x = net.conv(net.depthwise(x, (taps, 1), relu=False), channels, (1, 1))
    return net.model(net.softmax(net.gemm(net.flatten(x), 3)))
