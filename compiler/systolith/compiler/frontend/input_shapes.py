# SPDX-License-Identifier: Apache-2.0
"""Give the inputs of a model with dynamic shapes the sizes a user names: ``image=1x3x32x32``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import onnx

from ..errors import ShapeError

__all__ = ["Shapes", "fix_shapes", "parse_shape", "suggestion"]

Shapes = Mapping[str, tuple[int, ...]]
"""Sizes by input."""

_FORM = re.compile(r"(.+)=([1-9]\d*(?:x[1-9]\d*)*)")


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """An input's name and sizes from ``name=1x3x32x32``; raises ValueError for anything else."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no shape; accepted: NAME=1x3x32x32, an input's name and its sizes")
    return match[1], tuple(int(size) for size in match[2].split("x"))


def suggestion(name: str, shape: Sequence[object]) -> str:
    """How to give the shape of an input: the command line's option with a letter for each free size."""
    letters = iter("HWDEFGIJKLMN")
    sizes = [str(size) if isinstance(size, int) else next(letters, "?") for size in shape]
    return f"--fix-shape {name}={'x'.join(sizes)} with numbers for the letters"


def fix_shapes(model: onnx.ModelProto, shapes: Shapes) -> onnx.ModelProto:
    """A copy whose inputs have the given sizes; the model itself if none are given.

    Raises:
        ShapeError: there is no such input, it has another rank, or a size (not the batch) is fixed to another one.
    """
    if not shapes:
        return model
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    weights = {tensor.name for tensor in fixed.graph.initializer}
    inputs = {value.name: value for value in fixed.graph.input if value.name not in weights}
    for name, shape in shapes.items():
        if name not in inputs:
            raise ShapeError(f"input {name!r}: there is none of this name; accepted: {', '.join(map(repr, inputs))}")
        _fix(inputs[name], shape)
    return fixed


def _fix(value: onnx.ValueInfoProto, shape: tuple[int, ...]) -> None:
    tensor = value.type.tensor_type
    given = "x".join(map(str, shape))
    if not tensor.HasField("shape"):
        tensor.shape.dim.extend(onnx.TensorShapeProto.Dimension() for _ in shape)
    own = [dim.dim_value or dim.dim_param or "?" for dim in tensor.shape.dim]
    if len(own) != len(shape):
        raise ShapeError(f"input {value.name!r}: {given} has {len(shape)} sizes; accepted: {len(own)}, as in {own}")
    for axis, (dim, size) in enumerate(zip(tensor.shape.dim, shape, strict=True)):
        if axis and dim.dim_value and dim.dim_value != size:
            raise ShapeError(
                f"input {value.name!r}: {given} gives axis {axis} the size {size}; accepted: {dim.dim_value}, "
                "which the model fixes; export it again for another"
            )
        dim.dim_value = size
