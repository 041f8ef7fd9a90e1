# SPDX-License-Identifier: Apache-2.0
"""How well an integer network stands for its float network on given samples: signal to noise, classes, labels."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .borders import dequantise, engine_inputs
from .fixed_np import Ints
from .interp import run_float
from .interp_int import run_integer
from .ir import Graph
from .observe import CHUNK
from .quantise_config import QuantiseConfig

__all__ = [
    "Judge",
    "Quality",
    "answers",
    "classes",
    "decibel",
    "float_outputs",
    "integer_outputs",
    "integer_tensors",
    "relative_error",
]

Array = NDArray[Any]
Data = Mapping[str, Array]
Outputs = Mapping[str, Array]


def float_outputs(graph: Graph, data: Data) -> dict[str, Array]:
    """A float network's outputs on samples (B, ...), without the host tail."""
    count = len(next(iter(data.values())))
    parts = [
        run_float(graph, {name: values[start : start + CHUNK] for name, values in data.items()})
        for start in range(0, count, CHUNK)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in graph.outputs}


def integer_outputs(graph: Graph, data: Data, config: QuantiseConfig) -> dict[str, Array]:
    """An integer network's outputs on real samples (B, ...), as real numbers, without the host tail."""
    return answers(graph, engine_inputs(graph, data), config)


def answers(graph: Graph, feeds: Mapping[str, Ints], config: QuantiseConfig) -> dict[str, Array]:
    """An integer network's outputs on the engine's integers (B, ...), as real numbers, without the host tail."""
    results = integer_tensors(graph, feeds, config, graph.outputs)
    outputs = {}
    for name, codes in results.items():
        params = graph.tensors[name].qparams
        if params is None:
            raise ValueError(f"tensor {name!r} has no quantisation: not an integer-level graph")
        outputs[name] = dequantise(codes, params)
    return outputs


def integer_tensors(
    graph: Graph, feeds: Mapping[str, Ints], config: QuantiseConfig, keep: Collection[str]
) -> dict[str, Ints]:
    """The integers of tensors (B, ...), computed with the widths of ``config``."""
    return run_integer(
        graph, feeds, acc_bits=config.acc_bits, act_bits=config.act_bits, precision=config.precision, keep=keep
    )


def relative_error(got: Array, expected: Array) -> float:
    """Power of the difference, as a share of the power of what was expected."""
    signal = float((expected.astype(np.float64) ** 2).sum())
    noise = float(((got.astype(np.float64) - expected) ** 2).sum())
    return noise / signal if signal > 0 else math.inf if noise > 0 else 0.0


def decibel(error: float) -> float:
    """A relative error as a signal-to-noise ratio in decibel, between -200 and 200."""
    return -10 * math.log10(min(max(error, 1e-20), 1e20))


@dataclass(frozen=True)
class Quality:
    """An integer network beside its float network."""

    error: float
    """Relative error of the outputs, the mean over several: power of the difference by power of the signal."""
    agreement: float
    """Share of the samples with the same largest element in the first output, 0..1."""
    correct: float | None
    """Share of the samples whose largest element is the label's, 0..1; None without labels."""
    lost: float
    """Expected loss of samples classified as wanted (as labelled, or as by the float network), -1..1. What happens to
    the margin of the wanted class, by the spread of a sample's scores, is taken from all samples for each, so that few
    samples tell small losses."""

    @property
    def snr(self) -> float:
        """Signal to noise at the outputs, decibel."""
        return decibel(self.error)


def _rows(scores: Array) -> NDArray[np.float64]:
    return scores.reshape(len(scores), -1).astype(np.float64)


def classes(scores: Array) -> Array:
    """The largest element of each sample's scores: (B, ...) to (B,)."""
    return np.asarray(_rows(scores).argmax(axis=1))


def _margins(scores: Array, wanted: Array) -> Array:
    """By how much the score of the wanted class is above the best of the others, (B,)."""
    rows = _rows(scores)
    if rows.shape[1] == 1:
        return np.ones(len(rows))
    own = rows[np.arange(len(rows)), wanted]
    others = rows.copy()
    others[np.arange(len(rows)), wanted] = -np.inf
    return np.asarray(own - others.max(axis=1))


def _expected_loss(before: Array, after: Array, spread: Array) -> float:
    """How many margins fewer are above zero, (B,) each, if to each had happened what happened to any other.

    In units of ``spread``, margins become a factor of what they were and something besides. A factor common to all
    changes no class: were it counted among what happens to a margin, wide ones would say too much about narrow ones.
    """
    first, second = (values / np.where(spread > 0, spread, 1.0) for values in (before, after))
    scaled = first * float((first * second).sum()) / (float((first**2).sum()) or 1.0)
    kept = scaled[:, None] + (second - scaled)[None, :] > 0
    return float((before > 0).mean() - kept.mean())


class Judge:
    """Holds samples and the float network's answers to them."""

    def __init__(self, graph: Graph, data: Data, labels: Array | None = None) -> None:
        """``labels`` are classes (B,)."""
        self._data, self._labels, self._first = data, labels, graph.outputs[0]
        self.expected = float_outputs(graph, data)
        self.correct = self._correct(self.expected)
        """The float network's share of labels met."""

    def quality(self, network: Graph, config: QuantiseConfig) -> Quality:
        """Run an integer network."""
        return self.compare(integer_outputs(network, self._data, config))

    def compare(self, outputs: Outputs) -> Quality:
        """Judge outputs, (B, ...) real."""
        errors = [relative_error(outputs[name], self.expected[name]) for name in self.expected]
        same = classes(outputs[self._first]) == classes(self.expected[self._first])
        return Quality(float(np.mean(errors)), float(same.mean()), self._correct(outputs), self._lost(outputs))

    def _lost(self, outputs: Outputs) -> float:
        wanted = classes(self.expected[self._first]) if self._labels is None else self._labels
        before, after = (_margins(values[self._first], wanted) for values in (self.expected, outputs))
        return _expected_loss(before, after, _rows(self.expected[self._first]).std(axis=1))

    def _correct(self, outputs: Outputs) -> float | None:
        return None if self._labels is None else float((classes(outputs[self._first]) == self._labels).mean())
