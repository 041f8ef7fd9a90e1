# SPDX-License-Identifier: Apache-2.0
"""What the passes on Transpose have in common: permutations, and where a tensor is one of another.

``perm`` is ONNX's: axis ``i`` of the result is axis ``perm[i]`` of the operand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir import Graph, Node

__all__ = [
    "QUANTISERS",
    "before",
    "constant_before",
    "fresh",
    "inverse",
    "permuted",
    "renumbered",
    "source_of",
    "transpose_node",
]

Perm = tuple[int, ...]


def inverse(perm: Perm) -> Perm:
    """The permutation that undoes ``perm``."""
    return tuple(int(axis) for axis in np.argsort(perm))


def permuted(values: Sequence[Any], perm: Perm) -> tuple[Any, ...]:
    """One value per axis of the result from one per axis of the operand."""
    return tuple(values[axis] for axis in perm)


def before(values: Sequence[Any], perm: Perm) -> tuple[Any, ...]:
    """One value per axis of the operand from one per axis of the result."""
    return permuted(values, inverse(perm))


def source_of(graph: Graph, name: str) -> tuple[str, Perm] | None:
    """What ``name`` is a Transpose of, and how; None if it is none."""
    producer = graph.producer(name)
    if producer is None or producer.op != "Transpose":
        return None
    return producer.inputs[0], tuple(producer.attributes["perm"])


def fresh(graph: Graph, name: str) -> str:
    """A name like ``name`` that no tensor, constant or node has."""
    taken = {*graph.tensors, *graph.constants, *(node.name for node in graph.nodes)}
    while name in taken:
        name += "'"
    return name


QUANTISERS = ("DequantizeLinear", "QuantizeLinear")
"""Operators that leave each element in its place, but for scales along an axis."""


def transpose_node(name: str, source: str, result: str, perm: Perm, origin: tuple[str, ...]) -> Node:
    """A Transpose."""
    return Node("Transpose", name, (source,), (result,), {"perm": perm}, origin)


def renumbered(shape: Sequence[int], target: Sequence[int]) -> tuple[int | None, ...] | None:
    """For each axis of ``target`` the axis of ``shape`` that it is; None for axes of one element behind the batch.

    None altogether where a reshape from ``shape`` to ``target`` does more than to add and drop such axes.
    """
    kept = [axis for axis, size in enumerate(shape) if axis == 0 or size != 1]
    wanted = [axis for axis, size in enumerate(target) if axis == 0 or size != 1]
    if [shape[axis] for axis in kept] != [target[axis] for axis in wanted]:
        return None
    places = dict(zip(wanted, kept, strict=True))
    return tuple(places.get(axis) for axis in range(len(target)))


def constant_before(value: NDArray[Any], rank: int, perm: Perm) -> NDArray[Any]:
    """A constant that broadcasts against a Transpose's result, as it broadcasts against the operand."""
    return np.transpose(value.reshape((1,) * (rank - value.ndim) + value.shape), inverse(perm))
