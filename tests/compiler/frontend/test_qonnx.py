# SPDX-License-Identifier: Apache-2.0
"""Networks of the QONNX dialect against an evaluation of Quant in double precision that knows no integers of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from systolith.compiler.borders import engine_inputs, network_outputs
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.load import load_model
from systolith.compiler.frontend.operators import DIALECTS, QONNX_DOMAINS
from systolith.compiler.frontend.qonnx import RULES, expand_qonnx
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.lower import lower
from systolith.compiler.passes.drop_requant import drop_requant
from systolith.compiler.passes.fuse_add import fuse_add
from systolith.spec.arch import load_arch
from systolith.testbench.isa_model import IsaModel
from systolith.testbench.verify import run_model

SEED = 71
DOMAIN = "qonnx.custom_op.general"
Array = NDArray[Any]


@dataclass
class Qonnx:
    """A network under construction; opset 15 as the reference computes BatchNormalization wrongly before 14."""

    seed: int = SEED
    opset: int = 15
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value, dtype=np.float32)
        return name

    def node(self, op: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name=name, domain=domain, **attributes))
        return f"{name}_out"

    def quant(self, x: str, scale: Any, bits: float, zero: float = 0, domain: str = DOMAIN, **attributes: Any) -> str:
        names = [self.constant(value) for value in (scale, zero, bits)]
        return self.node("Quant", x, *names, domain=domain, **attributes)

    def weight(self, shape: tuple[int, ...], bits: int, axis: int | None = 0, **attributes: Any) -> str:
        """Weights that are clipped here and there."""
        sizes = [shape[index] if index == axis else 1 for index in range(len(shape))]
        scale = self.rng.uniform(0.5, 1.5, sizes if axis is not None else ()) / (1 << max(bits - 2, 0))
        return self.quant(self.constant(self.rng.normal(0, 1, shape)), scale, bits, **attributes)

    def model(self, output: str, shape: tuple[int, ...]) -> onnx.ModelProto:
        values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
        results = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ())]
        initialisers = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "qonnx", values, results, initialisers)
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(domain, 1) for domain in (DOMAIN, "onnx.brevitas")]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def evaluate(model: onnx.ModelProto, image: Array) -> Array:
    """The network in double precision, node by node."""
    values: dict[str, Array] = {
        tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in model.graph.initializer
    }
    values["x"] = image.astype(np.float64)
    for node in model.graph.node:
        operands = {name: values[name] for name in node.input}
        given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type == "Quant":
            x, scale, zero, bits = operands.values()
            values[node.output[0]] = quant(x, scale, zero, bits, **given)
        elif node.op_type == "BipolarQuant":
            values[node.output[0]] = np.where(operands[node.input[0]] >= 0, 1, -1) * operands[node.input[1]]
        else:
            infos = [helper.make_tensor_value_info(k, TensorProto.DOUBLE, v.shape) for k, v in operands.items()]
            outputs = [helper.make_empty_tensor_value_info(node.output[0])]
            single = helper.make_model(
                helper.make_graph([node], "one", infos, outputs), opset_imports=model.opset_import
            )
            values[node.output[0]] = np.asarray(next(iter(ReferenceEvaluator(single).run(None, operands))))
    return values[model.graph.output[0].name]


def quant(
    x: Array, scale: Array, zero: Array, bits: Array, signed: int = 1, narrow: int = 0, rounding_mode: bytes = b"ROUND"
) -> Array:
    """Quant by its definition."""
    assert rounding_mode == b"ROUND"
    top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    bottom = -(2 ** (bits - 1)) + narrow if signed else 0
    return np.asarray((np.rint(np.clip(x / scale + zero, bottom, top)) - zero) * scale)


def read(model: onnx.ModelProto, folder: Path) -> Graph:
    onnx.save(model, folder / "m.onnx")
    return load_model(folder / "m.onnx")


def samples(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(SEED).normal(0, 3, (8, *shape[1:])).astype(np.float32)


def check(model: onnx.ModelProto, shape: tuple[int, ...], step: float, folder: Path) -> Graph:
    """Import and compare: at most one step of the last Quant, and seldom that; the ISA model computes the integers."""
    graph = fuse_add(drop_requant(read(model, folder)))
    x = samples(shape)
    feeds = engine_inputs(graph, {"x": x})
    ours = run_integer(graph, feeds)
    real = network_outputs(graph, ours)[graph.outputs[0]]
    theirs = np.concatenate([evaluate(model, row[None]) for row in x])
    distance = np.abs(real - theirs) / step
    assert distance.max() <= 1.001
    assert (distance > 0.01).mean() < 0.05
    one = {"x": feeds["x"][:1]}
    _, results = run_model(IsaModel(lower(graph, load_arch("4x4"))), one)
    assert np.array_equal(results[graph.outputs[0]], ours[graph.outputs[0]][:1])
    return graph


# ---------------------------------------------------------------------- bit widths


@pytest.mark.parametrize(
    ("bits", "signed", "narrow"),
    # a narrow range of one bit would have a single value
    [(bits, signed, narrow) for bits in range(1, 9) for signed in (1, 0) for narrow in (0, 1) if bits > narrow],
)
def test_an_activation_of_any_width(bits: int, signed: int, narrow: int, tmp_path: Path) -> None:
    zero = narrow
    q = Qonnx()
    x = q.quant("x", 0.1, 8)
    step = 6 / 2**bits
    y = q.node("Conv", x, q.weight((5, 3, 3, 3), 8, narrow=1), pads=[1, 1, 1, 1])
    y = q.quant(y, step, bits, zero, signed=signed, narrow=narrow)
    graph = check(q.model(y, (1, 3, 6, 6)), (1, 3, 6, 6), step, tmp_path)
    assert [node.op for node in graph.nodes] == ["QConv"], "the width is the layer's bound"
    low, high = graph.nodes[0].attributes["lo"], graph.nodes[0].attributes["hi"]
    assert high - low == 2**bits - 1 - narrow


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("axis", [None, 0])
def test_weights_of_any_width(bits: int, axis: int | None, tmp_path: Path) -> None:
    q = Qonnx()
    y = q.node("Conv", q.quant("x", 0.1, 8), q.weight((5, 3, 3, 3), bits, axis))
    graph = check(q.model(q.quant(y, 0.2, 8), (1, 3, 6, 6)), (1, 3, 6, 6), 0.2, tmp_path)
    weight = graph.constant(graph.nodes[0].attributes["weight"])
    assert weight.min() == -(1 << (bits - 1))
    assert weight.max() <= (1 << (bits - 1)) - 1


def test_a_narrow_input_is_limited_on_the_engine(tmp_path: Path) -> None:
    q = Qonnx()
    y = q.node("Conv", q.quant("x", 0.5, 4), q.weight((5, 3, 1, 1), 4))
    graph = check(q.model(q.quant(y, 0.2, 8), (1, 3, 4, 4)), (1, 3, 4, 4), 0.2, tmp_path)
    assert [node.op for node in graph.nodes] == ["QRequant", "QConv"]


@pytest.mark.parametrize("domain", [DOMAIN, "onnx.brevitas"])
def test_a_network_with_batch_norm_bias_and_residual(domain: str, tmp_path: Path) -> None:
    q = Qonnx()
    x = q.quant("x", 0.1, 8, domain=domain)
    y = q.node("Conv", x, q.weight((4, 3, 3, 3), 4), pads=[1, 1, 1, 1])
    statistics = [q.constant(value) for value in ([1, -0.5, 0, 2], [0.1, 0.2, -0.3, 0.4], [0.5] * 4, [1, 2, 3, 4])]
    y = q.quant(q.node("Relu", q.node("BatchNormalization", y, *statistics)), 0.27, 4, signed=0)
    bias = q.quant(q.constant([0.5, -0.25, 1, 0]), 0.001, 32)
    z = q.node("Conv", y, q.weight((4, 4, 3, 3), 2), bias, pads=[1, 1, 1, 1])
    z = q.node("Add", q.quant(z, 0.53, 8), y)
    z = q.node("GlobalAveragePool", q.quant(z, 0.61, 8))
    z = q.node("Gemm", q.node("Flatten", q.quant(z, 0.23, 8)), q.weight((6, 4), 8), transB=1)
    graph = check(q.model(q.quant(z, 0.5, 8), (1, 3, 6, 6)), (1, 3, 6, 6), 0.5, tmp_path)
    assert [node.origin for node in graph.nodes] == [
        ("Conv", "BatchNormalization", "Relu", "Clip"),
        ("Conv", "Add"),
        ("AveragePool",),
        ("Gemm",),
    ]


def test_bipolar_weights(tmp_path: Path) -> None:
    q = Qonnx()
    names = [q.constant(q.rng.normal(0, 1, (5, 3, 3, 3))), q.constant(q.rng.uniform(0.1, 0.5, (5, 1, 1, 1)))]
    y = q.node("Conv", q.quant("x", 0.1, 8), q.node("BipolarQuant", *names, domain=DOMAIN))
    graph = check(q.model(q.quant(y, 0.2, 8), (1, 3, 6, 6)), (1, 3, 6, 6), 0.2, tmp_path)
    assert set(graph.constant(graph.nodes[0].attributes["weight"]).ravel().tolist()) == {-1, 1}


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("values", "attributes", "message"),
    [
        ((0.1, 0, 8), {"rounding_mode": "FLOOR"}, "rounding_mode FLOOR; accepted: ROUND"),
        ((0.1, 0, 9), {}, r"bit width 9; accepted: 1..8 bits here"),
        ((0.1, 0, 0), {}, r"bit width 0; accepted: 1..8"),
        ((0.1, 0, 1), {"narrow": 1}, r"bit width 1; accepted: 1..8 bits here \(from 2 if narrow\)"),
        ((0.1, 0, 3.5), {}, r"bit width \[3.5\]; accepted: one whole number"),
        ((0.1, 0.5, 8), {}, r"zero point \[0.5\]; accepted: one whole number"),
        ((0.1, 200, 8), {}, r"zero point 200; accepted: -128..127"),
        ((np.full((1, 3, 4, 1), 0.1), 0, 8), {}, r"scales of shape \[1, 3, 4, 1\]; accepted: one scale, or one for"),
    ],
)
def test_refusals(values: tuple[Any, float, float], attributes: dict[str, Any], message: str) -> None:
    q = Qonnx()
    scale, zero, bits = values
    y = q.quant(q.node("Relu", "x"), scale, bits, zero, **attributes)
    with pytest.raises(UnsupportedModel, match=rf"node 'quant1' \(Quant\): {message}"):
        expand_qonnx(q.model(y, (1, 3, 4, 4)))


@pytest.mark.parametrize("zero", [0, 1, -3, 2])
def test_constants_are_rounded_with_their_zero_point(zero: int) -> None:
    """Ties go to the even integer, not to the even distance from the zero point."""
    q = Qonnx()
    numbers = np.arange(-2.75, 3, 0.25).reshape(-1, 1)
    model = expand_qonnx(q.model(q.node("Gemm", "x", q.quant(q.constant(numbers), 0.5, 8, zero), transB=1), (1, 1)))
    (codes,) = (numpy_helper.to_array(t) for t in model.graph.initializer if t.name.endswith(":codes"))
    assert codes.reshape(-1).tolist() == np.rint(numbers.reshape(-1) / 0.5 + zero).tolist()


def odd_average(q: Qonnx) -> str:
    return q.quant(q.node("AveragePool", q.quant("x", 0.3, 8), kernel_shape=[2, 2]), 0.3, 8, 3)


def odd_halves(q: Qonnx) -> str:
    y = q.node("Conv", q.quant("x", 0.5, 8), q.quant(q.constant(q.rng.normal(0, 1, (3, 3, 1, 1))), 0.25, 4))
    return q.quant(y, 1, 8, -1)


def odd_phases(q: Qonnx) -> str:
    """The bias of each phase of the result is half a step."""
    weight = q.quant(q.constant(np.ones((3, 1, 2, 2))), 1, 8)
    y = q.node("ConvTranspose", q.quant("x", 1, 8), weight, q.constant([0.5]), strides=[2, 2])
    return q.quant(y, 1, 8, 1)


@pytest.mark.parametrize("build", [odd_average, odd_halves, odd_phases, lambda q: q.quant("x", 0.3, 8, 3)])
def test_refuses_activations_whose_ties_would_round_the_other_way(
    build: Callable[[Qonnx], str], tmp_path: Path
) -> None:
    q = Qonnx()
    message = r"\(QuantizeLinear\): zero point -?\d, odd, and values halfway between two integers, which round to even "
    with pytest.raises(UnsupportedModel, match=f"{message}with it; accepted: odd zero points only where no value can"):
        read(q.model(build(q), (1, 3, 4, 4)), tmp_path)


def test_an_odd_zero_point_where_nothing_ties(tmp_path: Path) -> None:
    q = Qonnx()
    x = q.quant("x", 0.1, 8, 4)
    y = q.quant(q.node("Conv", x, q.weight((4, 3, 3, 3), 8), pads=[1, 1, 1, 1]), 0.173, 8, 7)
    z = q.quant(q.node("Conv", x, q.weight((4, 3, 1, 1), 8)), 0.19, 8, 1)
    y = q.quant(q.quant(q.node("Add", y, z), 0.217, 8, -5), 0.217, 8, -5)
    check(q.model(y, (1, 3, 6, 6)), (1, 3, 6, 6), 0.217, tmp_path)


def test_refuses_scales_by_channel_of_an_activation(tmp_path: Path) -> None:
    q = Qonnx()
    y = q.node("Conv", q.quant("x", 0.1, 8), q.weight((4, 3, 3, 3), 4))
    y = q.quant(y, np.full((1, 4, 1, 1), [[[0.1]], [[0.2]], [[0.3]], [[0.4]]]), 8)
    with pytest.raises(UnsupportedModel, match=r"an activation with 4 scales; accepted: one scale per tensor"):
        read(q.model(y, (1, 3, 4, 4)), tmp_path)


def test_refuses_a_computed_scale() -> None:
    q = Qonnx()
    y = q.node("Quant", "x", q.node("Relu", "x"), *[q.constant(value) for value in (0, 8)], domain=DOMAIN)
    with pytest.raises(UnsupportedModel, match=r"input 1 \('relu0_out'\) is computed by the network"):
        expand_qonnx(q.model(y, (1, 3)))


def test_refuses_bipolar_activations_and_trunc() -> None:
    q = Qonnx()
    with pytest.raises(UnsupportedModel, match=r"\(BipolarQuant\): it quantises an activation; accepted: .* weights"):
        expand_qonnx(q.model(q.node("BipolarQuant", "x", q.constant(1), domain=DOMAIN), (1, 3)))
    q = Qonnx()
    names = [q.constant(value) for value in (0.1, 0, 8, 4)]
    with pytest.raises(UnsupportedModel, match=r"\(Trunc\): it drops low bits of an integer, rounding down"):
        expand_qonnx(q.model(q.node("Trunc", "x", *names, domain=DOMAIN), (1, 3)))


def test_refuses_old_operator_sets() -> None:
    q = Qonnx(opset=11)
    with pytest.raises(UnsupportedModel, match="operator set 11; accepted: 13 and newer for networks of the QONNX"):
        expand_qonnx(q.model(q.quant("x", 0.1, 8), (1, 3)))


def test_the_operator_check_accepts_what_has_a_rule_and_nothing_else() -> None:
    assert {*RULES} == {(domain, op) for domain in QONNX_DOMAINS for op in DIALECTS[domain]}
