# SPDX-License-Identifier: Apache-2.0
"""One ONNX node with everything its normalisation looks at, the refusal that names it, and what becomes of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UnsupportedModel
from ..ir import Node

__all__ = ["Expansion", "RawNode"]


@dataclass(frozen=True)
class Expansion:
    """What one ONNX node becomes: nodes in order, with the shapes of the tensors and the constants that are new."""

    nodes: tuple[Node, ...]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class RawNode:
    """An ONNX node; operands and results that are left out (or, for results, never used) have the name ``""``."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    opset: int
    shapes: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, NDArray[Any]]
    batched: bool = True
    """Axis 0 of every activation is the batch, whose samples must not mix; else axis 0 is an axis like any other."""
    parameters: Collection[str] = frozenset()
    """Tensors that depend on no input of the network: the constants and what is computed from them alone."""
    types: Mapping[str, int] = field(default_factory=dict)
    """Element types by tensor, as ``onnx.TensorProto`` numbers them, where known."""

    def refuse(self, problem: str, accepted: str, advice: str = "") -> UnsupportedModel:
        """The refusal of this node."""
        return UnsupportedModel(node=self.name, op=self.op, problem=problem, accepted=accepted, advice=advice)

    def operand(self, index: int) -> str:
        """The name of an input, empty if it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def constant(self, index: int) -> NDArray[Any] | None:
        """The value of a constant input; None if it is left out. Raises UnsupportedModel if it is computed."""
        name = self.operand(index)
        if not name:
            return None
        if name not in self.constants:
            raise self.refuse(f"input {index} ({name!r}) is computed by the network", "a constant")
        return self.constants[name]

    def scalar(self, index: int) -> float | None:
        """A constant input of one element; None if it is left out."""
        value = self.constant(index)
        if value is None:
            return None
        if value.size != 1:
            raise self.refuse(f"input {index} has shape {list(value.shape)}", "a single number")
        return float(value.reshape(()))

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor of this node."""
        return self.shapes[name]

    def axes(self, values: object, rank: int) -> tuple[int, ...]:
        """Axis numbers, negative ones counted from the end of ``rank``."""
        return tuple(int(axis) + rank if axis < 0 else int(axis) for axis in np.asarray(values).reshape(-1))

    def keep_batch(self, kept: bool, problem: str) -> None:
        """Raise UnsupportedModel if a batched node touches axis 0 (``kept`` is false)."""
        if self.batched and not kept:
            raise self.refuse(problem, "operators that leave the batch axis (axis 0) alone", "keep axis 0 in the model")

    def keep_broadcast(self) -> None:
        """Raise UnsupportedModel if numpy's broadcasting would align the batch with another axis."""
        rank = len(self.shape(self.outputs[0]))
        for name in self.inputs:
            if name and name not in self.parameters:
                shape = self.shape(name)
                self.keep_batch(len(shape) == rank, f"it broadcasts {name!r} of shape {list(shape)} to rank {rank}")

    def only_first_output(self) -> None:
        """Raise UnsupportedModel if a result other than the first is used."""
        for name in self.outputs[1:]:
            if name:
                raise self.refuse(f"its extra output {name!r} is used", "only the first output")

    def node(self, attributes: Mapping[str, Any] | None = None, *, op: str = "", inputs: int = 0) -> Node:
        """The normalised node: first output only, the first ``inputs`` operands (all that are given, if 0)."""
        self.only_first_output()
        operands = tuple(name for name in self.inputs[: inputs or None] if name)
        return Node(op or self.op, self.name, operands, self.outputs[:1], dict(attributes or {}), (self.op,))
