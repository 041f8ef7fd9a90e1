# SPDX-License-Identifier: Apache-2.0
"""The verdict: integer reference == ISA model == hardware, on every sample, and where not, where first.

The reference's integers are handed in and the hardware is anything that can be observed, so this judge imports neither
the compiler nor the hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from systolith.spec.image import Program
from systolith.testbench.isa_model import IsaModel, StoreTrace, read_tensor
from systolith.testbench.job import StoreLog
from systolith.testbench.localise import Place, locate_layer, locate_store
from systolith.testbench.scoreboard import compare_tensors

__all__ = ["Device", "Finding", "Observed", "Sample", "Verdict", "run_model", "verify"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One input with the integer reference's answer; tensors by name, in network shape, engine-signed integers."""

    name: str
    inputs: Mapping[str, Ints]
    expected: Mapping[str, Ints]
    layers: Mapping[str, Ints] = field(default_factory=dict)
    """The reference's inner tensors, as many as there are; they let a difference be traced to its layer."""


class _Result(Protocol):
    @property
    def outputs(self) -> Mapping[str, Ints]: ...


class Observed(Protocol):
    """One inference on the hardware."""

    @property
    def result(self) -> _Result:
        """Its outputs by name."""
        ...

    @property
    def stores(self) -> StoreLog | None:
        """Its stores; None where they cannot be seen (a board)."""
        ...


class Device(Protocol):
    """Hardware, simulated or real."""

    def observe(self, program: Program, inputs: Sequence[Mapping[str, Ints]]) -> Sequence[Observed]:
        """Run the inputs one after another; one observation each."""
        ...


@dataclass(frozen=True)
class Finding:
    """A sample on which two back ends differ."""

    sample: str
    pair: str
    """Which two, expected first: ``reference and ISA model`` or ``ISA model and RTL``."""
    what: str
    place: Place | None
    """Where first; None where only outputs could be compared."""

    def __str__(self) -> str:
        """One line for people."""
        return f"sample {self.sample!r}: {self.pair} differ: {self.place or self.what}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was compared, and the first finding of each sample that is not equal."""

    samples: int
    elements: int
    """Output elements compared."""
    stores: int
    """Stores of the hardware compared with the ISA model's."""
    findings: tuple[Finding, ...]

    @property
    def equal(self) -> bool:
        """Whether everything agreed, bit for bit."""
        return not self.findings


def _unequal(expected: Mapping[str, Ints], got: Mapping[str, Ints]) -> str:
    """The first difference among output tensors, as text; empty if there is none."""
    for name, tensor in expected.items():
        found = compare_tensors(tensor, got[name])
        if found is not None:
            return f"output {name!r}, {found}"
    return ""


def run_model(model: IsaModel, inputs: Mapping[str, Ints]) -> tuple[list[StoreTrace], dict[str, Ints]]:
    """One inference of the ISA model: its stores, one trace a descriptor, and its outputs by name."""
    program = model.program
    for tensor in program.inputs:
        model.load(tensor, inputs[tensor.name])
    traces = list(model.stores())
    return traces, {tensor.name: read_tensor(model.activations, tensor) for tensor in program.outputs}


def _judge_model(
    program: Program, sample: Sample, traces: Sequence[StoreTrace], outputs: Mapping[str, Ints]
) -> Finding | None:
    what = _unequal(sample.expected, outputs)
    place = locate_layer(program, {**sample.layers, **sample.expected}, traces)
    if not what and place is None:
        return None
    return Finding(sample.name, "reference and ISA model", what, place)


def _judge_device(
    program: Program, sample: Sample, traces: Sequence[StoreTrace], outputs: Mapping[str, Ints], observed: Observed
) -> Finding | None:
    what = _unequal(outputs, observed.result.outputs)
    place = locate_store(program, traces, observed.stores) if observed.stores is not None else None
    if not what and place is None:
        return None
    return Finding(sample.name, "ISA model and RTL", what, place)


def verify(
    program: Program,
    samples: Sequence[Sample],
    device: Device | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Run every sample through the ISA model and ``device`` (None: the model alone) and compare everything.

    The ISA model's outputs and layers are compared with the reference's; the hardware's outputs and, where they can be
    seen, all its stores with the ISA model's. Both keep their memories from sample to sample. ``progress`` is told
    (samples through the model, of how many).
    """
    observations = device.observe(program, [sample.inputs for sample in samples]) if device is not None else ()
    model, findings = IsaModel(program), []
    for index, sample in enumerate(samples):
        traces, outputs = run_model(model, sample.inputs)
        finding = _judge_model(program, sample, traces, outputs)
        if finding is None and device is not None:
            finding = _judge_device(program, sample, traces, outputs, observations[index])
        findings += [finding] if finding else []
        progress(index + 1, len(samples))
    return Verdict(
        samples=len(samples),
        elements=sum(tensor.size for sample in samples for tensor in sample.expected.values()),
        stores=sum(len(seen.stores.cycles) for seen in observations if seen.stores is not None),
        findings=tuple(findings),
    )
