# SPDX-License-Identifier: Apache-2.0
"""MLPerf Tiny's anomaly detector."""

from __future__ import annotations

from .builder import BenchModel, NetworkBuilder

__all__ = ["ad_autoencoder"]


def ad_autoencoder(seed: int = 0) -> BenchModel:
    """Ten dense layers on five frames of 128 mel bands: 264,192 MACs."""
    net = NetworkBuilder("ad_autoencoder", (640,), low=-67, high=2, seed=seed)
    x = "input"
    for channels in (*[128] * 4, 8, *[128] * 4):
        x = net.gemm(x, channels, relu=True)
    return net.model(net.gemm(x, 640))
