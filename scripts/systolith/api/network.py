# SPDX-License-Identifier: Apache-2.0
"""A compiled network with everything around it: real inputs to engine integers, engine integers to answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.borders import network_outputs, to_engine
from systolith.compiler.errors import InputFileError
from systolith.compiler.interp_int import check_feeds, run_integer
from systolith.compiler.ir import Graph, QParams
from systolith.compiler.runtime import RunResult
from systolith.spec.image import Program
from systolith.testbench.isa_model import IsaModel
from systolith.testbench.verify import Sample, run_model

__all__ = [
    "IsaBackend",
    "ReferenceBackend",
    "engine_batch",
    "engine_feeds",
    "make_sample",
    "outputs_of",
    "random_inputs",
]

Array = NDArray[Any]
Ints = NDArray[np.int64]


def engine_batch(network: Graph, inputs: Mapping[str, Array]) -> dict[str, Ints]:
    """A batch of real inputs, arrays (B, ...), as the engine's integers.

    Floats are real numbers, quantised with the input's scale; integer arrays are the network's own integers where its
    input is integers, and real numbers elsewhere.

    Raises:
        InputFileError: an input is missing, of the wrong shape or out of range; the message says what was expected.
    """
    try:
        whole = {name: _to_engine(network, name, values) for name, values in inputs.items()}
        check_feeds(network, whole)
    except ValueError as error:
        raise InputFileError(str(error)) from error
    return whole


def engine_feeds(network: Graph, inputs: Mapping[str, Array]) -> list[dict[str, Ints]]:
    """:func:`engine_batch`, one set of integers a sample."""
    whole = engine_batch(network, inputs)
    count = len(next(iter(whole.values())))
    return [{name: values[index : index + 1] for name, values in whole.items()} for index in range(count)]


def _qparams(network: Graph, name: str) -> QParams:
    qparams = network.tensors[name].qparams
    if qparams is None:
        raise ValueError(f"tensor {name!r} has no quantisation: not an integer-level graph")
    return qparams


def _to_engine(network: Graph, name: str, values: Array) -> Ints:
    integers = name in network.integer_io and values.dtype.kind in "iu"
    return to_engine(values, _qparams(network, name), integer=integers)


def random_inputs(network: Graph, count: int, seed: int) -> list[dict[str, Ints]]:
    """Uniformly random engine integers over the whole range, which reach corners that real data do not."""
    rng = np.random.default_rng(seed)
    feeds = []
    for _ in range(count):
        feed = {}
        for name in network.inputs:
            limits = _qparams(network, name)
            feed[name] = rng.integers(limits.low, limits.high, network.tensors[name].shape, endpoint=True)
        feeds.append(feed)
    return feeds


def make_sample(network: Graph, program: Program, name: str, feeds: Mapping[str, Ints]) -> Sample:
    """A sample for :func:`systolith.testbench.verify.verify`: the reference's outputs and all its inner tensors."""
    arch = program.arch
    values = run_integer(network, feeds, acc_bits=arch.acc_bits, precision=arch.precision, keep=list(network.tensors))
    return Sample(name=name, inputs=dict(feeds), expected={key: values[key] for key in network.outputs}, layers=values)


def outputs_of(network: Graph, results: Sequence[RunResult]) -> dict[str, Array]:
    """The network's own outputs, host tail included, as arrays (B, ...)."""
    stacked = {name: np.concatenate([result.outputs[name] for result in results]) for name in network.outputs}
    return network_outputs(network, stacked)


@dataclass(frozen=True)
class ReferenceBackend:
    """The integer network in numpy as a back end: the golden answers, without cycles."""

    network: Graph

    def run(self, program: Program, inputs: Sequence[Mapping[str, Ints]]) -> list[RunResult]:
        """One result for each element of ``inputs``."""
        widths = {"acc_bits": program.arch.acc_bits, "precision": program.arch.precision}
        keep = self.network.outputs
        return [RunResult(run_integer(self.network, feeds, **widths, keep=keep)) for feeds in inputs]


class IsaBackend:
    """The ISA model as a back end: executes the program's own words, without cycles."""

    def run(self, program: Program, inputs: Sequence[Mapping[str, Ints]]) -> list[RunResult]:
        """One result for each element of ``inputs``."""
        model = IsaModel(program)
        return [RunResult(run_model(model, feeds)[1]) for feeds in inputs]
