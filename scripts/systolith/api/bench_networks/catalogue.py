# SPDX-License-Identifier: Apache-2.0
"""The networks of the benchmark by name, and what the project aims at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from systolith.spec.arch import Arch

from .autoencoder import ad_autoencoder
from .builder import BenchModel
from .ds_cnn import ds_cnn
from .gemm import gemm
from .mobilenet import inverted_residual, mobilenet_v1_025
from .resnet import resnet8, resnet20
from .wakeword import streaming_wakeword
from .zoo import trained

__all__ = ["NETWORKS", "BenchNetwork"]


@dataclass(frozen=True, kw_only=True)
class BenchNetwork:
    """A network, where it runs besides the arrays asked for, and how fast it is meant to be."""

    build: Callable[[], BenchModel]
    zoo: str = ""
    """Name of the trained network of the same shape; empty if there is none."""
    targets: Mapping[str, int] = field(default_factory=dict)
    """Most cycles, by the name of the array."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Least utilisation, by the name of the array."""
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By the name of an array: changes that make a second array to run on when it is asked for."""
    product: bool = False
    """Its one convolution is a matrix product."""

    def model(self) -> tuple[BenchModel, bool]:
        """The network, and whether its weights are trained ones."""
        seeded = self.build()
        found = trained(self.zoo, seeded) if self.zoo else None
        return (seeded, False) if found is None else (found, True)

    def arrays(self, arch: Arch) -> list[Arch]:
        """The arrays to run on when ``arch`` is asked for."""
        changes = self.variants.get(arch.name)
        return [arch, arch.with_(**changes)] if changes else [arch]


def _gemm(size: int, share: float) -> BenchNetwork:
    return BenchNetwork(build=partial(gemm, size), shares={"16x16": share}, product=True)


NETWORKS: dict[str, BenchNetwork] = {
    "resnet8": BenchNetwork(build=resnet8, zoo="resnet8", targets={"4x4": 800_000, "8x8": 202_000, "16x16": 50_900}),
    "ds_cnn": BenchNetwork(build=ds_cnn, zoo="ds_cnn", targets={"4x4": 188_000, "8x8": 50_600, "16x16": 13_400}),
    "mobilenet_v1_025": BenchNetwork(
        build=mobilenet_v1_025,
        zoo="mobilenet_v1_025",
        targets={"4x4": 552_000, "8x8": 146_000, "16x16": 41_000},
    ),
    "ad_autoencoder": BenchNetwork(
        build=ad_autoencoder,
        zoo="ad_autoencoder",
        targets={"4x4": 66_500, "8x8": 16_900, "16x16": 8_700, "16x16-wl4": 4_400},
        variants={"16x16": {"name": "16x16-wl4", "weight_rows": 4}},
    ),
    "streaming_wakeword": BenchNetwork(build=streaming_wakeword, zoo="str_ww"),
    "resnet20": BenchNetwork(build=resnet20),
    "inverted_residual_s1": BenchNetwork(build=partial(inverted_residual, 1)),
    "inverted_residual_s2": BenchNetwork(build=partial(inverted_residual, 2)),
    "gemm_64": _gemm(64, 0.96),
    "gemm_128": _gemm(128, 0.98),
    "gemm_256": _gemm(256, 0.98),
}
"""In the order of the table."""
