# SPDX-License-Identifier: Apache-2.0
"""From a path to a checked ONNX model with static shapes, or one line that says what is wrong with the file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from ..errors import ModelFileError, ShapeError
from .batch_sizes import change_batch_sizes
from .input_shapes import Shapes, fix_shapes, suggestion
from .operators import check_operators, name_nodes
from .opset import opset_version
from .qonnx import expand_qonnx
from .qoperator import expand_qoperator

__all__ = ["OLDEST_OPSET", "fix_batch", "infer_shapes", "open_model", "read_model", "real_inputs"]

_log = logging.getLogger(__name__)

OLDEST_OPSET = 9
"""Oldest version of the standard operator set that is read; the newest is that of the installed onnx package."""

_EXPECTED = "expected a complete binary .onnx file as an exporter or onnx.save writes it"

_UNREADABLE = ("parse proto", "open proto", "ir_version")
"""What the checker says when the bytes are no model at all, rather than a wrong one."""


def read_model(path: Path, batch: int | None = 1, shapes: Shapes | None = None) -> onnx.ModelProto:
    """Read and check a model file; its batch dimension becomes ``batch`` (None: stays), shapes are inferred.

    ``shapes`` are sizes of inputs whose shape is dynamic. Nodes of other dialects become standard ones.

    Raises:
        ModelFileError: missing, not ONNX, cut short, or refused by the ONNX checker.
        UnsupportedModel: an operator that no front end knows.
        ShapeError: a dimension other than the batch is dynamic, or shapes contradict each other.
    """
    model, complaint = open_model(path)
    check_operators(model)
    if complaint:
        raise ModelFileError(complaint)
    model = fix_shapes(expand_qonnx(expand_qoperator(model)), shapes or {})
    return infer_shapes(fix_batch(model, batch))


def open_model(path: Path) -> tuple[onnx.ModelProto, str]:
    """The model in a file, its nodes with names of their own, and what the ONNX checker has to say (empty: nothing).

    Raises:
        ModelFileError: missing, not ONNX, cut short, or of an operator set that is not read.
    """
    complaint = _complaint(path)
    model = _load(path)
    _check_opset(model, path)
    name_nodes(model.graph)
    return model, f"{path}: the ONNX checker refuses it: {complaint}" if complaint else ""


def _complaint(path: Path) -> str:
    """What the ONNX checker has to say, empty if nothing; raises ModelFileError if it cannot read the file."""
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file; {_EXPECTED}")
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        if any(mark in str(error) for mark in _UNREADABLE):
            raise ModelFileError(f"{path}: not an ONNX model, or cut short; {_EXPECTED}") from error
        return str(error)
    except UnicodeDecodeError:
        # The checker chokes on its own complaint when a name in the file is no text.
        return "a name in it is not UTF-8"
    return ""


def _load(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load_model(str(path), format="protobuf")
    except DecodeError as error:
        raise ModelFileError(f"{path}: not an ONNX model, or damaged; {_EXPECTED}") from error
    except (OSError, onnx.checker.ValidationError, ValueError) as error:
        beside = ", ".join(_files_beside(path))
        raise ModelFileError(
            f"{path}: the weights stored beside the model in {beside or 'another file'} cannot be read ({error}); "
            "keep that file, complete, in the folder of the model"
        ) from error


def _files_beside(path: Path) -> list[str]:
    """The files that hold weights of the model."""
    graph = onnx.load_model(str(path), format="protobuf", load_external_data=False).graph
    entries = (entry for tensor in graph.initializer for entry in tensor.external_data if entry.key == "location")
    return sorted({entry.value for entry in entries})


def _check_opset(model: onnx.ModelProto, path: Path) -> None:
    version, newest = opset_version(model), onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= version <= newest:
        raise ModelFileError(
            f"{path}: operator set {version}; accepted: {OLDEST_OPSET}..{newest}; export it with another opset_version"
        )


def real_inputs(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    """The inputs a user feeds: older files list their initialisers as inputs too."""
    initialisers = {tensor.name for tensor in graph.initializer}
    return (value for value in graph.input if value.name not in initialisers)


def fix_batch(model: onnx.ModelProto, batch: int | None = 1) -> onnx.ModelProto:
    """A copy whose inputs have that batch; every shape that was derived from the old one is forgotten or changed.

    With None the model itself: its inputs keep their shapes, whatever axis 0 means.

    Raises:
        ShapeError: another dimension of an input is dynamic.
    """
    if batch is None:
        return model
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    inputs = list(real_inputs(fixed.graph))
    old = {_fix_input(value, batch) for value in inputs}
    change_batch_sizes(fixed.graph, (value.name for value in inputs), old - {0, batch}, batch)
    del fixed.graph.value_info[:]
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    return fixed


def _fix_input(value: onnx.ValueInfoProto, batch: int) -> int:
    """Give an input its batch; the one it had, 0 where it was free."""
    dims = value.type.tensor_type.shape.dim
    old = dims[0].dim_value if len(dims) > 1 else batch
    if old != batch:
        _log.warning("input %r: batch %s fixed to %d", value.name, old or dims[0].dim_param or "?", batch)
        dims[0].dim_value = batch
    shape = [dim.dim_value or dim.dim_param or "?" for dim in dims]
    if not dims or any(dim.dim_value < 1 for dim in dims):
        raise ShapeError(
            f"input {value.name!r}: shape {shape} is dynamic; accepted: fixed sizes (only the batch may be free); "
            f"give them ({suggestion(value.name, shape)}) or export the model with fixed input sizes"
        )
    return int(old)


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Static shapes for every tensor ONNX can infer; raises ShapeError with the node ONNX stumbles over."""
    try:
        return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        raise ShapeError(f"graph {model.graph.name!r}: shapes or types do not fit: {error}") from error
