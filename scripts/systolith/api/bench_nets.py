# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the engine: networks of well-known shapes, run in RTL, proved exact, and timed in cycles."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from systolith.compiler.errors import CapacityError
from systolith.compiler.model import predict, predict_descriptors
from systolith.spec.arch import Arch, load_arch
from systolith.spec.image import Program
from systolith.spec.isa import decode_program
from systolith.spec.link import Counter, Space
from systolith.testbench.runner.backend import RtlSimulator

from .bench_nets_scalesim import DenseLayer, compare_dense
from .bench_networks.catalogue import NETWORKS, BenchNetwork
from .bench_tools import Figure
from .checks import judge
from .flow import Compiled, Step, compile, no_step
from .network import engine_feeds, make_sample, random_inputs
from .report import attribution

__all__ = ["ARRAYS", "bench_nets", "compile_fitting"]

ARRAYS = ("4x4", "8x8", "16x16")
"""The arrays that are measured if none are named."""

_SLOW = ("mobilenet_v1_025", "16x16")
"""The run whose simulation time the project aims at."""
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
class _Run:
    """One network on one array: its record, and its layers' counters."""

    record: dict[str, Any]
    program: Program
    descriptors: Sequence[Counts]


@dataclass(frozen=True)
class _Bench:
    """Settings of one call."""

    rtl: bool
    simulator: str | None
    folder: Path

    def run(self, name: str, arch: Arch) -> _Run:
        """Compile, predict and, unless it is left out, simulate and compare."""
        compiled, remark = compile_fitting(self.folder / f"{name}.onnx", arch, self.folder / f"{name}.npz")
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
        run = _Run(record, program, predicted.descriptors)
        return self._simulate(run, compiled) if self.rtl else run

    def _simulate(self, run: _Run, compiled: Compiled) -> _Run:
        """A sample of the calibration's and a random one."""
        network, program = compiled.network, compiled.program
        first = {name: values[:1] for name, values in compiled.samples.items()}
        feeds = [*engine_feeds(network, first), *random_inputs(network, 1, _SEED)]
        samples = [make_sample(network, program, f"input {index}", feed) for index, feed in enumerate(feeds)]
        rtl = RtlSimulator(program.arch, simulator=self.simulator)
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


def _write_models(nets: Sequence[str], folder: Path) -> dict[str, str]:
    """A model and a file of samples for each network; where its weights come from, by name."""
    weights = {}
    for name in nets:
        built, trained = NETWORKS[name].model()
        onnx.save(built.model, folder / f"{name}.onnx")
        np.savez(folder / f"{name}.npz", x=built.samples)
        weights[name] = "trained" if trained else "seeded"
    return weights


def _dense_layers(run: _Run) -> list[DenseLayer]:
    """The layers that are products of a matrix with constant weights, and nothing else."""
    found, product = [], NETWORKS[run.record["net"]].product
    for layer in run.program.layers:
        if product or layer.kind.startswith(("Gemm", "MatMul")):
            rows, columns = layer.output.height * layer.output.width, layer.output.channels
            parts = run.descriptors[layer.first : layer.first + layer.count]
            found.append(
                DenseLayer(
                    net=run.record["net"],
                    layer=layer.name,
                    arch=run.program.arch,
                    m=rows,
                    n=columns,
                    k=layer.macs // (rows * columns),
                    cycles=sum(part[Counter.CYCLES] for part in parts),
                )
            )
    return found


def _speeds(records: Sequence[Mapping[str, Any]]) -> list[Figure]:
    """How long prediction and simulation take."""
    slowest = 1e3 * max(record["decode_seconds"] + record["model_seconds"] for record in records)
    note = "the slowest network, its program decoded"
    figures = [Figure(name="cycle model", value=slowest, unit="ms", target="< 20 ms", note=note)]
    timed = [record for record in records if record["rtl_seconds"] is not None]
    for record in timed:
        if (record["net"], record["arch"]) == _SLOW:
            name, note = f"RTL of {_SLOW[0]} on {_SLOW[1]}", "an inference, loading included"
            figures.append(Figure(name=name, value=record["rtl_seconds"], unit="s", target="< 30 s", note=note))
    if timed:
        ratio = sum(one["rtl_seconds"] for one in timed) / sum(one["model_seconds"] for one in timed)
        note = "all runs; from descriptors, as a search has them"
        figures.append(Figure(name="RTL : cycle model", value=ratio, unit="times", target=">= 1,000", note=note))
    return figures


def bench_nets(
    *,
    archs: Sequence[str] = ARRAYS,
    nets: Sequence[str] = tuple(NETWORKS),
    rtl: bool = True,
    simulator: str | None = None,
    scalesim: str | None = None,
    step: Step = no_step,
) -> dict[str, Any]:
    """Measure networks on arrays.

    Args:
        archs: presets or JSON files.
        nets: keys of :data:`~systolith.api.bench_networks.catalogue.NETWORKS`.
        rtl: False takes the cycle model's word for the cycles and proves nothing.
        simulator: as for :class:`~systolith.testbench.runner.backend.RtlSimulator`.
        scalesim: a Python interpreter that has the package of that name; None takes this one, if it has.
        step: told the progress.

    Returns:
        JSON-able: ``records``, one for each network and array; ``dense``, the side-by-side of the dense layers, and
        ``remark`` if there is none; ``figures``, the speed of the tools.

    Raises:
        CompileError, SimulationError: as from the steps.
    """
    pairs = [(name, array) for arch in map(load_arch, archs) for name in nets for array in NETWORKS[name].arrays(arch)]
    runs = []
    with tempfile.TemporaryDirectory(prefix="systolith-bench-") as folder:
        step("build the networks", 0, len(pairs))
        weights = _write_models(nets, Path(folder))
        bench = _Bench(rtl, simulator, Path(folder))
        for index, (name, array) in enumerate(pairs):
            step(f"{name} on {array.name}", index, len(pairs))
            runs.append(bench.run(name, array))
    dense, remark = compare_dense([layer for run in runs for layer in _dense_layers(run)], scalesim, step)
    records = [run.record | {"weights": weights[run.record["net"]]} for run in runs]
    return {
        "records": records,
        "measured_in": "RTL" if rtl else "cycle model",
        "dense": dense,
        "remark": remark,
        "figures": [asdict(figure) for figure in _speeds(records)],
    }
