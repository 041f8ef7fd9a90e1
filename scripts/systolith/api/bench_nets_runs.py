# SPDX-License-Identifier: Apache-2.0
"""One run of the benchmark: a network compiled for an array, predicted, simulated, compared."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from systolith.compiler.errors import CapacityError
from systolith.compiler.model import predict, predict_descriptors
from systolith.spec.arch import Arch
from systolith.spec.encoding import decode_program
from systolith.spec.image import Program
from systolith.spec.link import Counter, Space
from systolith.testbench.runner.backend import RtlSimulator

from .bench_networks.catalogue import NETWORKS, BenchNetwork
from .checks import judge
from .flow import Compiled, compile
from .network import engine_feeds, make_sample, random_inputs
from .report import attribution

__all__ = ["NetRun", "compile_fitting", "run_net"]

_SEED = 0
_GROWTHS = 4
"""Memories that may be too small."""

Counts = Mapping[Counter, int]


def compile_fitting(model: Path, arch: Arch, calibration: Path) -> tuple[Compiled, str]:
    """Compile for ``arch``; memories that are too small grow to the next power of two that fits.

    Returns:
        What was compiled, and a remark that names the memories that have grown (usually empty).

    Raises:
        CompileError: as :func:`~systolith.api.flow.compile`.
    """
    remarks: list[str] = []
    for _ in range(_GROWTHS):
        try:
            return compile(model, arch, calibration), ", ".join(remarks)
        except CapacityError as error:
            advice = re.search(r"what helps: .*?(\w+)=(\d+)", str(error))
            if advice is None:
                raise
            size = 1 << (int(advice[2]) - 1).bit_length()
            remarks.append(f"{advice[1]} {getattr(arch, advice[1])} -> {size}")
            arch = arch.with_(**{advice[1]: size})
    return compile(model, arch, calibration), ", ".join(remarks)


@dataclass(frozen=True)
class NetRun:
    """One network on one array."""

    record: dict[str, Any]
    """JSON-able figures."""
    program: Program
    descriptors: Sequence[Counts]
    """Each descriptor's counters: the RTL's, or the cycle model's where nothing was simulated."""


def run_net(name: str, arch: Arch, folder: Path, *, rtl: bool, simulator: str | None) -> NetRun:
    """Compile a network of the catalogue, predict its cycles and, with ``rtl``, simulate and compare.

    Args:
        name: the network; ``folder`` holds ``NAME.onnx`` and its samples in ``NAME.npz``.
        arch: the array.
        folder: where the files are.
        rtl: False takes the cycle model's word.
        simulator: as for :class:`~systolith.testbench.runner.backend.RtlSimulator`.

    Raises:
        CompileError, SimulationError: as from the steps.
    """
    compiled, remark = compile_fitting(folder / f"{name}.onnx", arch, folder / f"{name}.npz")
    program = compiled.program
    reading, predicting = _time_model(program)
    predicted = predict(program)
    record = {
        "net": name,
        "arch": arch.name,
        **_figures(program, predicted.total),
        "model_cycles": predicted.total[Counter.CYCLES],
        "exact": None,
        "findings": [],
        **_targets(NETWORKS[name], arch.name),
        "remark": remark,
        "decode_seconds": reading,
        "model_seconds": predicting,
        "rtl_seconds": None,
    }
    run = NetRun(record, program, predicted.descriptors)
    return _simulated(run, compiled, simulator) if rtl else run


def _simulated(run: NetRun, compiled: Compiled, simulator: str | None) -> NetRun:
    """The run in RTL: a sample of the calibration's and a random one."""
    network, program = compiled.network, compiled.program
    first = {name: values[:1] for name, values in compiled.samples.items()}
    feeds = [*engine_feeds(network, first), *random_inputs(network, 1, _SEED)]
    samples = [make_sample(network, program, f"input {index}", feed) for index, feed in enumerate(feeds)]
    rtl = RtlSimulator(program.arch, simulator=simulator)
    rtl.prepare()
    judgement = judge(program, samples, rtl)
    result = judgement.results[0]
    measured = {
        **_figures(program, result.counters or {}),
        "exact": not judgement.findings,
        "findings": list(judgement.findings),
        "rtl_seconds": judgement.seconds / len(samples),
    }
    return replace(run, record=run.record | measured, descriptors=result.descriptors or ())


def _time_model(program: Program) -> tuple[float, float]:
    """Seconds that decoding the program takes, and that predicting its cycles takes for the first time."""
    start = time.perf_counter()
    descriptors = decode_program(program.segments[Space.PROGRAM], program.arch)
    decoded = time.perf_counter()
    list(predict_descriptors(descriptors, program.arch))
    return decoded - start, time.perf_counter() - decoded


def _figures(program: Program, counters: Counts) -> dict[str, Any]:
    arch, cycles = program.arch, counters[Counter.CYCLES]
    macs = sum(layer.macs for layer in program.layers)
    return {
        "cycles": cycles,
        "macs": macs,
        "utilisation": macs / (arch.rows * arch.cols * cycles),
        "attribution": attribution(counters, arch),
    }


def _targets(network: BenchNetwork, array: str) -> dict[str, Any]:
    return {"target_cycles": network.targets.get(array), "target_utilisation": network.shares.get(array)}
