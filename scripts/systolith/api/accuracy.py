# SPDX-License-Identifier: Apache-2.0
"""Accuracy of a classifier at each level, on labelled data."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from systolith.compiler.interp import run_float
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.quality import classes

from .network import engine_batch

__all__ = ["float_classes", "integer_classes", "share_correct"]

Array = NDArray[Any]


def float_classes(graph: Graph, inputs: Array) -> Array:
    """Predicted classes (B,) of a prepared float-level graph with one input, (B, ...)."""
    return classes(run_float(graph, {graph.inputs[0]: inputs})[graph.outputs[0]])


def integer_classes(graph: Graph, inputs: Array, acc_bits: int) -> Array:
    """Predicted classes (B,) of an integer-level graph with one input of real values, (B, ...)."""
    feeds = engine_batch(graph, {graph.inputs[0]: inputs})
    return classes(run_integer(graph, feeds, acc_bits=acc_bits, keep=graph.outputs)[graph.outputs[0]])


def share_correct(classes: Array, labels: Array) -> float:
    """Accuracy, 0..1."""
    return float((classes == labels).mean())
