# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.hoist_transposes import hoist_transposes
from systolith.compiler.passes.remove_transposes import remove_transposes
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, assert_same_result, read

NCHW = [0, 3, 1, 2]


def hoisted(builder: ModelBuilder, out: str) -> Graph:
    before = read(builder, out)
    after = hoist_transposes(before)
    verify(after)
    assert_same_result(before, after)
    return after


@pytest.mark.parametrize(("shape", "perm"), [([1, 1, 7, 3], NCHW), ([1, 7, 1, 3], [0, 3, 2, 1])])
def test_in_front_of_added_axes(shape: list[int], perm: list[int]) -> None:
    builder = ModelBuilder((1, 7, 3))
    image = builder.add("Reshape", "input", builder.constant(shape, np.int64))
    graph = hoisted(builder, builder.add("Relu", builder.add("Transpose", image, perm=perm)))
    assert [node.op for node in graph.nodes] == ["Transpose", "Reshape", "Relu"]
    assert graph.nodes[0].attributes == {"perm": (0, 2, 1)}


def test_in_front_of_scaled_pixels() -> None:
    builder = ModelBuilder((1, 5, 6, 3))
    scaled = builder.add("Mul", builder.add("Sub", "input", builder.weights(3)), builder.weights(5, 6, 3))
    relu = builder.add("Relu", builder.add("Add", scaled, builder.constant(0.5)))
    graph = hoisted(builder, builder.add("Relu", builder.add("Transpose", relu, perm=NCHW)))
    assert [node.op for node in graph.nodes] == ["Transpose", "Sub", "Mul", "Add", "Relu", "Relu"]


@pytest.mark.parametrize("per_axis", [False, True])
def test_in_front_of_quantisers(per_axis: bool) -> None:
    builder = ModelBuilder((1, 5, 6, 3))
    scale = builder.constant([0.5, 0.25, 0.125]) if per_axis else builder.constant(0.5)
    zero = builder.constant([3, 0, -3] if per_axis else 3, np.int8)
    codes = builder.add("QuantizeLinear", "input", scale, zero, axis=3)
    real = builder.add("DequantizeLinear", codes, scale, zero, axis=3)
    graph = hoisted(builder, builder.add("Relu", builder.add("Transpose", real, perm=NCHW)))
    assert [node.op for node in graph.nodes] == ["Transpose", "QuantizeLinear", "DequantizeLinear", "Relu"]
    assert graph.nodes[1].attributes["axis"] == 1


@pytest.mark.parametrize(("shape", "perm"), [([1, 3, 7, 1], [0, 2, 3, 1]), ([1, 1, 7, 3], [0, 2, 1, 3])])
def test_real_reshapes_and_moves_of_single_elements_stay(shape: list[int], perm: list[int]) -> None:
    builder = ModelBuilder((1, 7, 3))
    image = builder.add("Reshape", "input", builder.constant(shape, np.int64))
    graph = read(builder, builder.add("Relu", builder.add("Transpose", image, perm=perm)))
    assert hoist_transposes(graph) is graph


def test_an_input_whose_shape_would_stay_keeps_its_order_and_the_passes_end() -> None:
    builder = ModelBuilder((1, 4, 4, 4))
    scaled = builder.add("Mul", "input", builder.weights(4))
    graph = read(builder, builder.conv(builder.add("Transpose", scaled, perm=NCHW), 2, 4, 3, 3))
    assert hoist_transposes(graph) is graph
    assert [node.op for node in remove_transposes(graph).nodes] == ["Mul", "Transpose", "Conv"]


def test_shared_tensors_and_outputs_stay_and_the_passes_end() -> None:
    builder = ModelBuilder((1, 7, 3))
    image = builder.add("Reshape", "input", builder.constant([1, 1, 7, 3], np.int64))
    turned = builder.add("Transpose", image, perm=NCHW)
    relu = builder.add("Relu", turned)
    for other in (builder.add("Relu", image), builder.add("Relu", "input"), turned):
        graph = read(builder, relu, other)
        assert hoist_transposes(graph) is graph
        result = remove_transposes(graph)
        verify(result)
        assert_same_result(graph, result)
