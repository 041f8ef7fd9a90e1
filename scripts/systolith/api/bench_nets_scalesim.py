# SPDX-License-Identifier: Apache-2.0
"""Dense layers side by side with the package ``scalesim``, a simulator of a weight-stationary array of the same size.

It runs in a process of its own, in an interpreter that may be another one: it prints, writes files and, in its release
3.0, needs an older numpy than this project's newest.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from systolith.spec.arch import Arch
from systolith.testbench.runner.errors import SimulationError

from .flow import Step, no_step

__all__ = ["DenseLayer", "compare_dense"]

_HOW = (
    "get it by: pip install 'systolith[compare]', or in an environment of its own: python3 -m venv scalesim && "
    "scalesim/bin/pip install scalesim 'numpy<2.3', and name that: --scalesim scalesim/bin/python"
)

_SCRIPT = """
from scalesim.scale_sim import scalesim
scalesim(True, False, "array.cfg", "layers.csv", "layout.csv", True).run_scale(".")
"""

_NAME = "run"
_CONFIG = """[general]
run_name = {name}

[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {cols}
IfmapSramSzkB: 6144
FilterSramSzkB: 6144
OfmapSramSzkB: 2048
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Bandwidth: 1000
Dataflow: ws
MemoryBanks: 1
ReadRequestBuffer: 32
WriteRequestBuffer: 32

[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2

[sparsity]
SparsitySupport: false
SparseRep: ellpack_block
OptimizedMapping: false
BlockSize: 8
RandomNumberGeneratorSeed: 40

[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""
"""Memories that hold everything and never stall, as ours do."""

Product = tuple[int, int, int]
"""M, N, K."""


@dataclass(frozen=True, kw_only=True)
class DenseLayer:
    """(m, k) times (k, n) with constant weights (k, n), and the cycles it took here."""

    net: str
    layer: str
    arch: Arch
    m: int
    n: int
    k: int
    cycles: int

    @property
    def product(self) -> Product:
        """Its sizes."""
        return self.m, self.n, self.k


def _tail(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def _run(python: str, folder: Path) -> None:
    try:
        done = subprocess.run([python, "-c", _SCRIPT], cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise SimulationError(f"--scalesim {python}: cannot be run ({error.strerror})") from error
    if done.returncode:
        raise SimulationError(f"scalesim failed in {python}: {_tail(done.stderr)}; {_HOW}")


def _simulate(python: str, rows: int, cols: int, products: Sequence[Product]) -> list[int]:
    """Cycles of each product on an array, as scalesim's compute report says."""
    with tempfile.TemporaryDirectory(prefix="systolith-scalesim-") as name:
        folder = Path(name)
        (folder / "array.cfg").write_text(_CONFIG.format(name=_NAME, rows=rows, cols=cols))
        layers = [f"layer{index},{m},{n},{k}," for index, (m, n, k) in enumerate(products)]
        (folder / "layers.csv").write_text("\n".join(["Layer,M,N,K,", *layers, ""]))
        (folder / "layout.csv").write_text(
            "\n".join(["Layer,", *(f"layer{index}," for index in range(len(layers))), ""])
        )
        _run(python, folder)
        with (folder / _NAME / "COMPUTE_REPORT.csv").open() as file:
            report = csv.DictReader(file, skipinitialspace=True)
            return [int(float(row["Total Cycles"])) for row in report]


def compare_dense(
    layers: Sequence[DenseLayer], python: str | None, step: Step = no_step
) -> tuple[list[dict[str, Any]], str]:
    """Our cycles and scalesim's for each layer.

    Args:
        layers: what was run here.
        python: an interpreter that has scalesim; None takes this one, if it has.
        step: told the progress.

    Returns:
        A JSON-able row a layer; or none, and why there is nothing to compare with.

    Raises:
        SimulationError: the interpreter named has no scalesim that works; the message says how to get one.
    """
    if python is None and find_spec("scalesim") is None:
        return [], f"scalesim is not installed, so the dense layers are not compared; {_HOW}"
    found: dict[tuple[int, int, Product], int] = {}
    sizes = dict.fromkeys((layer.arch.rows, layer.arch.cols) for layer in layers)
    for index, (rows, cols) in enumerate(sizes):
        step(f"scalesim of {rows} x {cols}", index, len(sizes))
        here = [layer for layer in layers if (layer.arch.rows, layer.arch.cols) == (rows, cols)]
        products = list(dict.fromkeys(layer.product for layer in here))
        counted = _simulate(python or sys.executable, rows, cols, products)
        found |= {(rows, cols, product): cycles for product, cycles in zip(products, counted, strict=True)}
    return [_row(layer, found[layer.arch.rows, layer.arch.cols, layer.product]) for layer in layers], ""


def _row(layer: DenseLayer, scalesim: int) -> dict[str, Any]:
    return {
        "net": layer.net,
        "arch": layer.arch.name,
        "layer": layer.layer,
        "m": layer.m,
        "n": layer.n,
        "k": layer.k,
        "cycles": layer.cycles,
        "scalesim_cycles": scalesim,
    }
