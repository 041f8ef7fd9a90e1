# SPDX-License-Identifier: Apache-2.0
"""All problems of a model at once, and where its operators would run: what ``systolith check`` does, for Python.

The compiler stops at the first thing it cannot do. Here, what it refuses is noted and cut out of the model
(:mod:`.check_cut`), and the compiler starts again with the rest, until nothing is refused any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from systolith.compiler.calibration_data import load_samples
from systolith.compiler.errors import CalibrationError, CompileError, ModelFileError
from systolith.compiler.frontend.input_shapes import Shapes, fix_shapes
from systolith.compiler.frontend.load import import_model
from systolith.compiler.frontend.onnx_file import fix_batch, infer_shapes, open_model
from systolith.compiler.frontend.operators import node_name, unsupported_operators
from systolith.compiler.frontend.qonnx import expand_qonnx
from systolith.compiler.frontend.qoperator import expand_qoperator
from systolith.compiler.ir import Graph
from systolith.compiler.lower import lower
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.pipeline import quantise_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.verify import is_integer_level
from systolith.spec.arch import Arch, load_arch

from .check_cut import cut, find
from .check_places import PLACES, macs_of, places
from .check_problems import Problem
from .flow import Step, no_step

__all__ = ["MOST", "Check", "check"]

MOST = 200
"""Problems after which the search ends."""

_SAMPLES = 2
"""Random inputs of a float network without calibration data; whether it compiles hardly depends on its ranges."""

_RANGES = ((-2.0, 2.0), (0.1, 1.0), (1.0, 2.0))
"""What they are drawn from, one after the other: logarithms and roots are not defined everywhere."""


@dataclass
class Check:
    """What was found; ``errors`` in the order of their discovery."""

    model: onnx.ModelProto
    """The model as it was read."""
    arch: Arch
    errors: list[CompileError] = field(default_factory=list)
    unexamined: set[str] = field(default_factory=set)
    """Nodes that cannot be judged before others are changed."""
    macs: Mapping[str, int] = field(default_factory=Counter)
    network: Graph | None = None
    """The integer network of the model without what is refused."""

    @property
    def compiles(self) -> bool:
        """Whether nothing is refused."""
        return not self.errors

    def figures(self) -> dict[str, Any]:
        """Everything as JSON: ``problems``, ``operators`` (nodes and MACs by operator and place), ``macs``."""
        problems = [Problem.of(error) for error in self.errors]
        total, engine = sum(self.macs.values()), sum(row["macs"] for row in self._rows() if row["place"] == "engine")
        return {
            "arch": self.arch.name,
            "compiles": self.compiles,
            "problems": [asdict(problem) for problem in problems],
            "operators": self._rows(),
            "macs": {"total": total, "engine": engine, "share": engine / total if total else 0.0},
        }

    def _rows(self) -> list[dict[str, Any]]:
        """A row for each operator and place."""
        refused = [Problem.of(error).node for error in self.errors]
        nodes: Counter[tuple[str, str]] = Counter()
        macs: Counter[tuple[str, str]] = Counter()
        model = self.model.graph.node
        for node, place in zip(model, places(model, self.network, refused, self.unexamined), strict=True):
            nodes[node.op_type, place] += 1
            macs[node.op_type, place] += self.macs[node_name(node)]
        order = sorted(nodes, key=lambda key: (key[0], list(PLACES).index(key[1])))
        return [{"op": op, "place": place, "nodes": nodes[op, place], "macs": macs[op, place]} for op, place in order]


def check(
    model: str | Path,
    arch: str | Arch = "8x8",
    calibration: str | Path | None = None,
    *,
    shapes: Shapes | None = None,
    step: Step = no_step,
) -> Check:
    """Look for everything in a model that would keep it from being compiled for ``arch``.

    Args:
        model: an ONNX file of any dialect.
        arch: a preset's name, a JSON file, or an :class:`~systolith.spec.arch.Arch`.
        calibration: real inputs; without them, a float network's ranges come from random ones.
        shapes: sizes of inputs whose shape is dynamic.
        step: told the progress.

    Raises:
        ModelFileError: the file cannot be read at all.
        ArchError, CalibrationError: ``arch`` or ``calibration`` is at fault.
    """
    source, complaint = open_model(Path(model))
    found = Check(source, arch if isinstance(arch, Arch) else load_arch(arch))
    unknown = unsupported_operators(source)
    if complaint and not unknown:
        raise ModelFileError(complaint)
    rest = _standard(found, unknown, shapes or {})
    while rest is not None and len(found.errors) < MOST:
        step(f"{len(found.errors)} problems so far", len(found.errors), 0)
        rest = _attempt(found, rest, Path(model).stem, calibration)
    return found


def _standard(found: Check, refused: list[Any], shapes: Shapes) -> onnx.ModelProto | None:
    """The model in standard operators with static shapes, without what no front end knows; None if there is no way."""
    try:
        model = expand_qonnx(expand_qoperator(found.model, refused), refused)
        model = fix_batch(fix_shapes(model, shapes))
    except CompileError as error:
        found.errors += [*refused, error]
        return None
    found.errors += refused
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    found.macs = macs_of(inferred)
    return _cut(found, inferred, refused) if refused else model


def _cut(found: Check, model: onnx.ModelProto, errors: list[CompileError]) -> onnx.ModelProto | None:
    """The model without the nodes at fault; None if a problem belongs to no node, or nothing is left."""
    places = [find(model, Problem.of(error).node) for error in errors]
    nodes = {place for place in places if place is not None}
    if None in places:
        return None
    rest, lost = cut(model, nodes)
    found.unexamined.update(lost)
    return rest if rest.graph.node and rest.graph.output else None


def _attempt(found: Check, model: onnx.ModelProto, name: str, calibration: str | Path | None) -> onnx.ModelProto | None:
    """Compile; None when done, the rest of the model after a problem."""
    try:
        inferred = infer_shapes(model)
        graph = import_model(inferred, name, weight_bits=found.arch.weight_bits)
        graph = graph if is_integer_level(graph) else prepare_float(graph)
        found.network = _quantised(found, graph, calibration)
        lower(found.network, found.arch)
    except CalibrationError as error:
        if calibration is not None:
            raise
        found.errors.append(CalibrationError(f"on random inputs, {error}; give real ones (--calib)"))
    except CompileError as error:
        found.errors.append(error)
        return _cut(found, onnx.shape_inference.infer_shapes(model, data_prop=True), [error])
    return None


def _quantised(found: Check, graph: Graph, calibration: str | Path | None) -> Graph:
    """The integer network; of random inputs, the first that its functions can take."""
    own = {value.name for value in found.model.graph.input}
    config = QuantiseConfig.for_arch(found.arch, method="mse", equalise="off")
    for low, high in _RANGES[:-1] if calibration is None else ():
        try:
            return quantise_network(graph, _data(graph, own, calibration, low, high), config)
        except CalibrationError:
            continue
    return quantise_network(graph, _data(graph, own, calibration, *_RANGES[-1]), config)


def _data(
    graph: Graph, own: set[str], calibration: str | Path | None, low: float, high: float
) -> dict[str, NDArray[Any]] | None:
    """Calibration inputs: given ones for the model's ``own`` inputs, seeded random numbers elsewhere."""
    if is_integer_level(graph):
        return None
    given: dict[str, NDArray[Any]] = {}
    if calibration is not None:
        mine = graph.with_(inputs=tuple(name for name in graph.inputs if name in own))
        given = {name: values[:_SAMPLES] for name, values in load_samples(Path(calibration), mine).items()}
    count = min((len(values) for values in given.values()), default=_SAMPLES)
    rng = np.random.default_rng(0)
    shapes = {name: (count, *graph.tensors[name].shape[1:]) for name in graph.inputs}
    data = {name: rng.uniform(low, high, shape).astype(np.float32) for name, shape in shapes.items()}
    return {**data, **{name: values[:count] for name, values in given.items()}}
