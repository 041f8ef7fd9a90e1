# SPDX-License-Identifier: Apache-2.0
"""The whole compiler in one function: an ONNX file and an architecture to a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from systolith.spec.arch import Arch
from systolith.spec.image import Program

from .choose_method import Progress, no_progress
from .errors import CalibrationError, QuantisationError
from .frontend.input_shapes import Shapes
from .frontend.load import load_model
from .ir import Graph
from .lower import lower
from .passes.drop_requant import drop_requant
from .passes.fuse_add import fuse_add
from .passes.fuse_table import fuse_table
from .passes.legalise import legalise
from .passes.prepare import prepare_float
from .quantise_config import QuantiseConfig
from .quantise_float import quantise_float
from .verify import is_integer_level, verify
from .weight_search import Allowance

__all__ = [
    "Compiled",
    "Observer",
    "compile_network",
    "import_network",
    "quantise_network",
    "refuse_choices",
    "simplify",
]

Observer = Callable[[str, Graph], None]
"""Told each step's name and the graph it made."""


def _nobody(step: str, graph: Graph) -> None:
    """Observe nothing."""


@dataclass(frozen=True)
class Compiled:
    """A network at every level that later steps need."""

    source: Graph
    """As imported: float level, or integer level where the network came quantised."""
    network: Graph
    """The integer network that the program computes, bit for bit."""
    program: Program
    decisions: Mapping[str, Any] = field(default_factory=dict)
    """What quantisation decided, by measurement or as told (:class:`~systolith.compiler.quantise_float.Quantised`);
    empty for a network that came quantised."""


def import_network(
    path: Path, observe: Observer = _nobody, *, weight_bits: int = 8, shapes: Shapes | None = None
) -> Graph:
    """Read an ONNX file; float networks are brought into the form that quantisation takes.

    ``weight_bits`` is what the weights of a network that comes quantised must fit; ``shapes`` are the sizes of inputs
    whose shape is dynamic.

    Raises:
        CompileError: the file is damaged or the network cannot be compiled exactly.
    """
    graph = load_model(path, weight_bits=weight_bits, shapes=shapes)
    observe("import", graph)
    if is_integer_level(graph):
        return graph
    prepared = prepare_float(graph)
    observe("prepare", prepared)
    return prepared


def quantise_network(
    graph: Graph, data: Mapping[str, NDArray[Any]] | None, config: QuantiseConfig, observe: Observer = _nobody
) -> Graph:
    """An imported network at the integer level, simplified; a network that came quantised keeps its integers.

    Raises:
        CalibrationError: a float network without calibration data, or data that do not fit.
        QuantisationError, UnsupportedModel: it cannot be expressed in the integers asked for.
    """
    if not is_integer_level(graph):
        graph = _legal(graph, config, observe)
        graph = quantise_float(graph, _given(graph, data), config).network
        observe("quantise", graph)
    return simplify(graph, observe)


def _given(graph: Graph, data: Mapping[str, NDArray[Any]] | None) -> Mapping[str, NDArray[Any]]:
    if data is None:
        raise CalibrationError(f"network {graph.name!r} is float; give calibration inputs (--calib DATA.npz)")
    return data


def _legal(graph: Graph, config: QuantiseConfig, observe: Observer) -> Graph:
    graph = legalise(graph, tables=config.tables)
    observe("legalise", graph)
    return graph


def simplify(graph: Graph, observe: Observer = _nobody) -> Graph:
    """The integer level's passes in their order, verifying after each."""
    for step in (drop_requant, fuse_add, fuse_table):
        graph = step(graph)
        verify(graph, f"pass {step.__name__}")
        observe(step.__name__, graph)
    return graph


def refuse_choices(graph: Graph, config: QuantiseConfig | None, allowance: Allowance | None) -> None:
    """Raise QuantisationError for bits of weights that are asked of a network which came quantised."""
    if allowance or config and (config.default_bits or config.layer_bits):
        raise QuantisationError(
            f"network {graph.name!r} came quantised and keeps its own weights; accepted: --weights and --layer-weights "
            "for float networks; leave them out, or give the float network"
        )


def compile_network(
    path: Path,
    arch: Arch,
    samples: Callable[[Graph], Mapping[str, NDArray[Any]] | None] = lambda graph: None,
    config: QuantiseConfig | None = None,
    observe: Observer = _nobody,
    *,
    shapes: Shapes | None = None,
    allowance: Allowance | None = None,
    labels: Callable[[Graph], NDArray[Any] | None] = lambda graph: None,
    progress: Progress = no_progress,
) -> Compiled:
    """Import, quantise if need be, simplify, tile and emit.

    Args:
        path: an ONNX file, float or quantised (QDQ, QOperator, QONNX).
        arch: the engine.
        samples: given the imported network, its calibration inputs: one array (B, ...) per input, or None; only a float
            network needs them.
        config: options of the quantisation; by default those of ``arch``.
        observe: called after every step.
        shapes: sizes of inputs whose shape is dynamic.
        allowance: lets the bits of the weights be chosen by layer.
        labels: given the imported network, the classes (B,) of its calibration inputs, if known, for that choice.
        progress: told each measurement that quantisation makes.

    Raises:
        CompileError: one line that names what is at fault and the way out.
    """
    source = import_network(path, observe, weight_bits=arch.weight_bits, shapes=shapes)
    data, decisions, network = samples(source), {}, source
    if is_integer_level(source):
        refuse_choices(source, config, allowance)
    else:
        options = config or QuantiseConfig.for_arch(arch)
        classes = labels(source) if allowance else None
        legal = _legal(source, options, observe)
        made = quantise_float(legal, _given(source, data), options, allowance, classes, progress)
        network, decisions = made.network, dict(made.decisions)
        observe("quantise", network)
    network = simplify(network, observe)
    return Compiled(source, network, lower(network, arch), decisions)
