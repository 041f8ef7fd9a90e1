# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import numpy as np
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.fuse_chain import fuse_chain
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, assert_same_result, read

Make = Callable[[ModelBuilder, str], str]


def silu(b: ModelBuilder, x: str) -> str:
    return b.add("Mul", x, b.add("Sigmoid", x))


def hard_swish(b: ModelBuilder, x: str) -> str:
    gate = b.add("Clip", b.add("Add", x, b.constant(3.0)), b.constant(0.0), b.constant(6.0))
    return b.add("Div", b.add("Mul", x, gate), b.constant([6.0]))


def gelu(b: ModelBuilder, x: str) -> str:
    curve = b.add("Add", b.add("Erf", b.add("Div", x, b.constant(2**0.5))), b.constant(1.0))
    return b.add("Mul", b.add("Mul", x, curve), b.constant(0.5))


def gelu_by_tanh(b: ModelBuilder, x: str) -> str:
    cubic = b.add("Mul", b.add("Pow", x, b.constant(3.0)), b.constant(0.044715))
    inner = b.add("Mul", b.add("Add", x, cubic), b.constant((2 / np.pi) ** 0.5))
    return b.add("Mul", b.add("Mul", x, b.constant(0.5)), b.add("Add", b.add("Tanh", inner), b.constant(1.0)))


def mish(b: ModelBuilder, x: str) -> str:
    return b.add("Mul", x, b.add("Tanh", b.add("Log", b.add("Add", b.add("Exp", x), b.constant(1.0)))))


def square(b: ModelBuilder, x: str) -> str:
    return b.add("Mul", x, x)


def fused(builder: ModelBuilder, *outputs: str, everything: bool = False) -> Graph:
    before = read(builder, *outputs)
    after = fuse_chain(before, everything=everything)
    verify(after)
    assert_same_result(before, after)
    return after


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


@pytest.mark.parametrize("make", [silu, hard_swish, gelu, gelu_by_tanh, mish, square])
def test_a_function_spelled_out_is_one_node(make: Make) -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    x = builder.conv("input", 4, 3, 3, 3)
    before = read(builder, make(builder, x))
    after = fused(builder, make(builder, x))
    assert ops(after) == ["Conv", "Elementwise"]
    chain = after.nodes[1]
    assert chain.inputs[0] == x
    assert chain.origin == tuple(node.op for node in before.nodes[1:])


def test_two_functions_in_a_row_are_one() -> None:
    builder = ModelBuilder((1, 3))
    assert ops(fused(builder, builder.add("Tanh", silu(builder, "input")))) == ["Elementwise"]


def test_the_same_function_of_two_tensors_is_two() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    branches = [silu(builder, builder.conv("input", 4, 3, 1, 1)) for _ in range(2)]
    assert ops(fused(builder, builder.add("Add", *branches))).count("Elementwise") == 2


def test_a_result_that_others_read_is_the_chain_s_input() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    inner = builder.add("Tanh", "input")
    after = fused(builder, silu(builder, inner), builder.conv(inner, 2, 3, 1, 1))
    assert sorted(ops(after)) == ["Conv", "Elementwise", "Tanh"]
    assert next(node for node in after.nodes if node.op == "Elementwise").inputs == (inner,)


def test_a_result_within_that_others_read_splits_it_or_is_computed_twice() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    gate = builder.add("Sigmoid", "input")
    after = fused(builder, builder.add("Mul", "input", gate), gate)
    assert ops(after) == ["Sigmoid", "Elementwise"]
    assert after.nodes[1].inputs == ("input",)
    tanh = builder.add("Tanh", gate)
    assert ops(fused(builder, tanh, gate)) == ["Sigmoid", "Tanh"]


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 4, 4), (1, 2)])
def test_constants_of_several_elements_are_no_part(shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3, 4, 2) if shape == (1, 2) else (1, 3, 4, 4))
    out = builder.add("Sigmoid", builder.add("Mul", silu(builder, "input"), builder.weights(*shape)))
    assert ops(fused(builder, out)) == ["Elementwise", "Mul", "Sigmoid"]


def test_a_gate_of_another_shape_is_no_part() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    gate = builder.add("Sigmoid", builder.add("GlobalAveragePool", "input"))
    assert ops(fused(builder, builder.add("Mul", "input", gate))) == ["AveragePool", "Sigmoid", "Mul"]


def test_what_has_a_form_of_its_own_stays_without_tables() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    out = builder.add("Relu", builder.add("Add", builder.add("Neg", "input"), builder.constant(1.0)))
    out = builder.add("LeakyRelu", out)
    out = builder.add("Sub", out, builder.add("Relu", out))
    assert fuse_chain(read(builder, out)) == read(builder, out)
    assert ops(fused(builder, out, everything=True)) == ["Elementwise"]


def test_scales_and_bounds_stay_in_any_case() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    out = builder.add("Relu", builder.add("Mul", "input", builder.constant(2.0)))
    assert ops(fused(builder, out, everything=True)) == ["Mul", "Relu"]


def test_a_shift_of_a_tensor_that_others_read_stays() -> None:
    builder = ModelBuilder((1, 3, 4, 4))
    x = builder.conv("input", 4, 3, 1, 1)
    shifted = builder.add("Mul", x, builder.constant(-1.0))
    total = builder.add("Add", builder.add("MaxPool", x, kernel_shape=[1, 1]), shifted)
    assert ops(fused(builder, total, everything=True)) == ["Conv", "Mul", "MaxPool", "Add"]
    assert ops(fused(builder, shifted, everything=True)) == ["Conv", "Elementwise"]


def test_one_function_stays_as_it_is() -> None:
    builder = ModelBuilder((1, 3))
    assert ops(fused(builder, builder.add("Tanh", "input"), everything=True)) == ["Tanh"]
