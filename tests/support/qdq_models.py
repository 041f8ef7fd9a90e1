# SPDX-License-Identifier: Apache-2.0
"""Small random QDQ networks in ONNX, one operator after the other, and what the tests ask of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from systolith.compiler.borders import engine_inputs, from_engine
from systolith.compiler.frontend.onnx_file import fix_batch, infer_shapes
from systolith.compiler.frontend.onnx_reader import read_graph
from systolith.compiler.frontend.qdq import import_qdq
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.lower import lower
from systolith.compiler.verify import verify
from systolith.spec.arch import PRESETS, Arch
from systolith.testbench.isa_model import IsaModel
from systolith.testbench.verify import run_model

from .qdq_evaluator import Judgement, evaluate

__all__ = ["QdqModel", "check", "feeds_of", "import_model", "judge", "on_engine"]

Array = NDArray[Any]

SEEDS = (41, 42, 43)
"""Of the inputs that a network is checked with."""


@dataclass
class QdqModel:
    """An ONNX network under construction. Methods add nodes and return the name of their output."""

    seed: int = 0
    dtype: type = np.int8
    """Integers of the activations."""
    opset: int = 13
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    params: dict[str, tuple[str, str]] = field(default_factory=dict)
    scales: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def input(self, *shape: int, dtype: type = np.float32) -> str:
        """A network input of any type."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        name = f"x{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, value: Array | np.generic) -> str:
        """An initialiser."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Any operator."""
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [f"{name}_out"], name=name, **attributes))
        self.scales[f"{name}_out"] = self.scales.get(inputs[0], 1.0)
        return f"{name}_out"

    def quantise(self, x: str, scale: float | None = None, zero: int | None = 0, dtype: type | None = None) -> str:
        """A QuantizeLinear; ``zero`` None leaves the zero point out. The scale is drawn if None."""
        scale = float(self.rng.uniform(0.02, 0.1)) if scale is None else scale
        names = [self.constant(np.float32(scale))]
        names += [] if zero is None else [self.constant(np.array(zero, dtype=dtype or self.dtype))]
        output = self.node("QuantizeLinear", x, *names)
        self.params[output] = (names[0], names[1] if len(names) > 1 else "")
        self.scales[output] = scale
        return output

    def dequantise(self, codes: str) -> str:
        """The DequantizeLinear of a QuantizeLinear's output."""
        scale, zero = self.params[codes]
        output = self.node("DequantizeLinear", codes, *[name for name in (scale, zero) if name])
        self.scales[output] = self.scales[codes]
        return output

    def real(self, x: str, scale: float | None = None, zero: int | None = 0) -> str:
        """Q and DQ."""
        return self.dequantise(self.quantise(x, scale, zero))

    def start(self, *shape: int, zero: int | None = 3) -> str:
        """A float input behind Q and DQ."""
        return self.real(self.input(*shape), 0.05, zero)

    def weight(self, shape: tuple[int, ...], axis: int | None = 0, dtype: type = np.int8, zero: int = 0) -> str:
        """Dequantised integer weights, per channel on ``axis`` or (None) per tensor."""
        codes = self.rng.integers(-127, 128, shape) + zero
        scale = self.rng.uniform(0.005, 0.02, () if axis is None else shape[axis]).astype(np.float32)
        names = [self.constant(codes.astype(dtype)), self.constant(scale)]
        names.append(self.constant(np.full(scale.shape, zero, dtype=dtype)))
        output = self.node("DequantizeLinear", *names, **({} if axis is None else {"axis": axis}))
        self.scales[output] = float(scale.mean())
        return output

    def bias(self, channels: int, x: str, weight: str) -> str:
        """A dequantised int32 bias of the accumulator's scale."""
        values = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.constants}
        producer = {node.output[0]: node for node in self.nodes}
        scale = np.float32(self.scales[x]) * values[producer[weight].input[1]]
        codes = self.rng.integers(-20000, 20000, channels).astype(np.int32)
        attributes = {} if scale.ndim == 0 else {"axis": 0}
        return self.node("DequantizeLinear", self.constant(codes), self.constant(scale), **attributes)

    def conv(
        self, x: str, inputs: int, outputs: int, kernel: int = 3, *, axis: int | None = 0, **attributes: Any
    ) -> str:
        """A convolution with bias, its result unquantised."""
        group = attributes.get("group", 1)
        weight = self.weight((outputs, inputs // group, kernel, kernel), axis)
        return self.node("Conv", x, weight, self.bias(outputs, x, weight), **attributes)

    def model(self, *outputs: str, dtype: type | tuple[type, ...] = np.float32) -> onnx.ModelProto:
        """The finished model, checked; its outputs have one type, or one each."""
        types = dtype if isinstance(dtype, tuple) else (dtype,) * len(outputs)
        kinds = [helper.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in types]
        results = [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(outputs, kinds, strict=True)]
        graph = helper.make_graph(self.nodes, "synthetic", self.inputs, results, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model, full_check=True)
        return model


def import_model(model: onnx.ModelProto, *, weight_bits: int = 8) -> Graph:
    """The integer-level graph of a model in memory."""
    return import_qdq(read_graph(infer_shapes(fix_batch(model)), "synthetic"), weight_bits=weight_bits)


def judge(model: onnx.ModelProto, graph: Graph, feeds: Mapping[str, Array], acc_bits: int = 32) -> Iterator[Judgement]:
    """Every QuantizeLinear of ``model`` with our integers of ``graph`` against double precision, on our inputs."""
    results = run_integer(graph, engine_inputs(graph, feeds), acc_bits=acc_bits)
    given: dict[str, Array] = {}
    for name, codes in results.items():
        qparams = graph.tensors[name].qparams
        assert qparams is not None
        quantiser = _last_quantiser(model, name) if name in graph.outputs else name
        given[quantiser] = from_engine(codes, qparams, integer=True)
    return evaluate(model, feeds, given)


def _last_quantiser(model: onnx.ModelProto, output: str) -> str:
    """The quantised tensor that ``output`` only views, dequantises, or passes through a Softmax."""
    producers = {node.output[0]: node for node in model.graph.node}
    name = output
    while (node := producers.get(name)) is not None:
        before = producers.get(node.input[0])
        if node.op_type == "QuantizeLinear" and (before is None or before.op_type != "Softmax"):
            return name
        if node.op_type in ("Relu", "MaxPool", "Clip", "Concat", "Slice", "Pad", "Resize"):
            return name
        name = node.input[0]
    return name


def feeds_of(model: onnx.ModelProto, seed: int = SEEDS[0]) -> dict[str, np.ndarray]:
    """Random inputs that reach and pass the ends of the range."""
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in model.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        integer = np.issubdtype(dtype, np.integer)
        numbers = rng.integers(*_range(dtype), shape) if integer else rng.uniform(-8, 8, shape)
        feeds[value.name] = numbers.astype(dtype)
    return feeds


def _range(dtype: np.dtype) -> tuple[int, int]:
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max) + 1


def check(model: onnx.ModelProto, *, judged: int | None = None, acc_bits: int = 32, differing: float = 1.0) -> Graph:
    """Import; every Q with a tensor of ours differs by at most 1 LSB from double precision on the same inputs.

    ``differing`` is the largest share of elements that may differ at all: with a single rounding, hardly any do.
    """
    graph = import_model(model)
    verify(graph)
    for seed in SEEDS:
        feeds = feeds_of(model, seed)
        judgements = list(judge(model, graph, feeds, acc_bits))
        for judgement in judgements:
            assert judgement.distance <= 1, f"seed {seed}, {judgement.tensor}"
            assert judgement.differing <= differing, f"seed {seed}, {judgement.tensor}"
        if judged is not None:
            assert len(judgements) == judged
    return graph


def on_engine(model: onnx.ModelProto, arch: Arch = PRESETS["4x4"]) -> None:
    """The ISA model computes the reference's integers."""
    graph = import_model(model)
    feeds = engine_inputs(graph, feeds_of(model))
    expected = run_integer(graph, feeds)
    _, results = run_model(IsaModel(lower(graph, arch)), feeds)
    assert all(np.array_equal(results[name], expected[name]) for name in graph.outputs)
