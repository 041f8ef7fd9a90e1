# SPDX-License-Identifier: Apache-2.0
"""The way in: a model file of any dialect becomes a verified graph."""

from __future__ import annotations

from pathlib import Path

import onnx

from ..ir import Graph
from ..passes.remove_transposes import remove_transposes
from ..verify import verify
from .input_shapes import Shapes
from .onnx_file import read_model
from .onnx_reader import read_graph
from .qdq import import_qdq, is_qdq

__all__ = ["import_model", "load_model"]


def load_model(path: Path, *, weight_bits: int = 8, batch: int | None = 1, shapes: Shapes | None = None) -> Graph:
    """Read an ONNX file.

    Args:
        path: a binary ONNX model, operator set 9 to the newest of the installed onnx package. A free or other batch is
            fixed to ``batch``, with a warning in the log; every other size must be fixed.
        weight_bits: bits of the engine's weights, which those of a quantised network must fit.
        batch: the size of axis 0 of every activation; what is compiled has 1. With None the model's own shapes stay,
            axis 0 has no special meaning, and the graph remains at the float level, to be executed only.
        shapes: sizes of inputs whose shape is dynamic, batch included.

    Returns:
        A float-level graph, to be prepared, calibrated and quantised; or, for a model with QuantizeLinear or
        DequantizeLinear nodes, an integer-level graph with the network's own scales and zero points
        (:func:`~systolith.compiler.verify.is_integer_level` tells which). It is named after the file.

    Raises:
        ModelFileError: the file is missing, not ONNX, cut short, or not valid.
        UnsupportedModel: an operator, attribute or operand that cannot be done exactly.
        ShapeError: a dynamic shape, or shapes that contradict each other.
        WeightError: a weight that is NaN or infinite.
        QuantisationError: a quantised network whose scales the engine cannot hold.
    """
    return import_model(read_model(path, batch, shapes), path.stem, weight_bits=weight_bits, batch=batch)


def import_model(model: onnx.ModelProto, name: str, *, weight_bits: int = 8, batch: int | None = 1) -> Graph:
    """:func:`load_model` of a model in memory, with standard operators, fixed inputs and inferred shapes."""
    graph = read_graph(model, name, batched=batch is not None)
    verify(graph, "reading", batch=batch)
    if batch is not None and is_qdq(graph):
        graph = import_qdq(remove_transposes(graph), weight_bits=weight_bits)
    verify(graph, "import", batch=batch)
    return graph
