# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the engine: networks of well-known shapes, run in RTL, proved exact, and timed in cycles."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from systolith.spec.arch import load_arch
from systolith.spec.link import Counter

from .bench_nets_runs import NetRun, run_net
from .bench_nets_scalesim import DenseLayer, compare_dense
from .bench_networks.catalogue import NETWORKS
from .bench_tools import Figure
from .flow import Step, no_step

__all__ = ["ARRAYS", "bench_nets"]

ARRAYS = ("4x4", "8x8", "16x16")
"""The arrays that are measured if none are named."""

_SLOW = ("mobilenet_v1_025", "16x16")
"""The run whose simulation time the project aims at."""


def _write_models(nets: Sequence[str], folder: Path) -> dict[str, str]:
    """A model and a file of samples for each network; where its weights come from, by name."""
    weights = {}
    for name in nets:
        built, trained = NETWORKS[name].model()
        onnx.save(built.model, folder / f"{name}.onnx")
        np.savez(folder / f"{name}.npz", x=built.samples)
        weights[name] = "trained" if trained else "seeded"
    return weights


def _dense_layers(run: NetRun) -> list[DenseLayer]:
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
        for index, (name, array) in enumerate(pairs):
            step(f"{name} on {array.name}", index, len(pairs))
            runs.append(run_net(name, array, Path(folder), rtl=rtl, simulator=simulator))
    dense, remark = compare_dense([layer for run in runs for layer in _dense_layers(run)], scalesim, step)
    records = [run.record | {"weights": weights[run.record["net"]]} for run in runs]
    return {
        "records": records,
        "measured_in": "RTL" if rtl else "cycle model",
        "dense": dense,
        "remark": remark,
        "figures": [asdict(figure) for figure in _speeds(records)],
    }
