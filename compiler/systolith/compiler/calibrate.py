# SPDX-License-Identifier: Apache-2.0
"""Calibration: the range of real values each tensor's integers shall cover, found by running samples.

What is seen is collected in :mod:`.observe`, how it becomes a range is in :mod:`.ranges`. The network's inputs are
always covered completely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ir import Graph
from .observe import Observation, observe
from .quantise_config import Method, QuantiseConfig
from .ranges import Range, choose_range
from .response import response

__all__ = ["Calibration", "calibrate", "choose_ranges"]


@dataclass(frozen=True)
class Calibration:
    """What calibration found: ``(low, high)`` of each tensor, with ``low <= 0 <= high``."""

    ranges: Mapping[str, Range]
    means: Mapping[str, NDArray[np.float64]]
    """For each Conv and Gemm, by node name: the mean of what each element of its kernel meets, (C, kh, kw); for a
    ConvTranspose that of its input, (C, 1, 1)."""
    samples: int
    method: Method
    covariances: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """For the layers that are reconstructed: the covariance of what the kernel meets, (group, K, K) with
    K = C / group * kh * kw."""


def calibrate(graph: Graph, data: Mapping[str, NDArray[Any]], config: QuantiseConfig) -> Calibration:
    """Run calibration samples and choose a range for every tensor.

    Args:
        graph: a prepared float-level graph.
        data: for each graph input an array (B, ...), all with the same B.
        config: method (``auto`` counts as ``mse``: nothing is measured here), percentile and bits.

    Raises:
        CalibrationError: no samples, or values that are not finite in the data or computed from it.
    """
    layers = [node.name for node in graph.nodes if config.reconstructs(node.name)]
    return choose_ranges(graph, observe(graph, data, layers), config)


def choose_ranges(graph: Graph, seen: Observation, config: QuantiseConfig) -> Calibration:
    """A range for every tensor from what was seen; zero is in it: padding and a fused Relu need it exactly."""
    ranges = {
        name: ends if name in graph.inputs else choose_range(seen.counts[name], *ends, config, response(graph, name))
        for name, ends in seen.extremes.items()
    }
    with_zero = {name: (min(low, 0.0), max(high, 0.0)) for name, (low, high) in ranges.items()}
    return Calibration(with_zero, seen.means, seen.samples, config.method, seen.covariances)
