# SPDX-License-Identifier: Apache-2.0
"""From files to a build folder: what ``systolith compile`` does, for Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from systolith.compiler.calibration_data import load_samples
from systolith.compiler.frontend.input_shapes import Shapes
from systolith.compiler.ir import Graph
from systolith.compiler.labels import calibration_classes
from systolith.compiler.pipeline import compile_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.weight_search import Allowance
from systolith.hdl.emit import emit_verilog
from systolith.spec.arch import Arch, load_arch
from systolith.spec.image import Program

from .build_folder import BuildFolder, fresh_folder
from .report import build_report, render_report

__all__ = ["SAMPLES", "Compiled", "Step", "compile", "no_step"]

SAMPLES = 32
"""Calibration inputs stored in a build folder for ``verify`` and ``simulate``."""

Step = Callable[[str, int, int], None]
"""Told a step's name, how many are done, of how many."""

_STEPS = ("import", "prepare", "legalise", "quantise", "drop_requant", "fuse_add", "fuse_table", "emit", "Verilog")


def no_step(step: str, done: int, total: int) -> None:
    """Report to nobody."""


@dataclass(frozen=True)
class Compiled:
    """A compiled network in memory."""

    source: Graph
    """The network as imported: float level, or integer level where it came quantised."""
    program: Program
    """What every back end runs."""
    network: Graph
    """The integer network that the program computes, bit for bit."""
    samples: Mapping[str, NDArray[Any]]
    """Up to :data:`SAMPLES` calibration inputs, one array (N, ...) per input; empty if there were none."""
    decisions: Mapping[str, Any] = field(default_factory=dict)
    """What quantisation decided (:class:`~systolith.compiler.quantise_float.Quantised`); empty if it came quantised."""

    def write(self, folder: Path, step: Step = no_step) -> BuildFolder:
        """Write everything, Verilog and report included, into a build folder that appears complete or not at all.

        Raises:
            InputFileError: ``folder`` holds something else than an earlier build.
        """
        with fresh_folder(folder) as fresh:
            step("Verilog", len(_STEPS) - 1, len(_STEPS))
            figures = build_report(self.program, self.network) | {"quantisation": dict(self.decisions)}
            fresh.write(
                program=self.program,
                network=self.network,
                samples=self.samples,
                verilog=emit_verilog(self.program.arch),
                report=figures,
                report_text=render_report(figures),
            )
        return BuildFolder(folder)


def compile(
    model: str | Path,
    arch: str | Arch,
    calibration: str | Path | None = None,
    *,
    config: QuantiseConfig | None = None,
    allowance: Allowance | None = None,
    labels: str | Path | None = None,
    step: Step = no_step,
    shapes: Shapes | None = None,
) -> Compiled:
    """Compile an ONNX file.

    Args:
        model: the file, a float or a quantised network (QDQ, QOperator, QONNX).
        arch: a preset's name, a JSON file, or an :class:`~systolith.spec.arch.Arch`.
        calibration: an ``.npz`` or ``.npy`` file of real inputs, which a float network needs.
        config: options of the quantisation.
        allowance: lets quantisation choose the bits of each layer's weights.
        labels: a file with the classes of the calibration inputs, for that choice; by default they are looked for
            beside the inputs.
        step: told the progress.
        shapes: sizes of inputs whose shape is dynamic, such as ``{"image": (1, 3, 32, 32)}``.

    Raises:
        CompileError, ArchError: one line that names what is at fault and the way out.
    """
    chosen = arch if isinstance(arch, Arch) else load_arch(arch)
    kept: dict[str, NDArray[Any]] = {}
    counts: list[int] = []

    def read(graph: Graph) -> dict[str, NDArray[Any]] | None:
        if calibration is None:
            return None
        data = load_samples(Path(calibration), graph)
        kept.update({name: values[:SAMPLES] for name, values in data.items()})
        counts.append(len(next(iter(data.values()))))
        return data

    def read_labels(graph: Graph) -> NDArray[Any] | None:
        if calibration is None:
            return None
        return calibration_classes(Path(calibration), graph, counts[0], None if labels is None else Path(labels))

    def observe(name: str, graph: Graph) -> None:
        step(name, _STEPS.index(name) + 1, len(_STEPS))

    def measuring(name: str, done: int, total: int) -> None:
        step(name, _STEPS.index("quantise"), len(_STEPS))

    step("import", 0, len(_STEPS))
    result = compile_network(
        Path(model),
        chosen,
        read,
        config,
        observe,
        shapes=shapes,
        allowance=allowance,
        labels=read_labels,
        progress=measuring,
    )
    return Compiled(result.source, result.program, result.network, kept, result.decisions)
