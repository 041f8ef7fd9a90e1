# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.passes.spell_transposes import spell_transposes
from tests.support.float_models import ModelBuilder, assert_same_result, read


def reshaped(shape: tuple[int, ...], target: list[int]) -> Graph:
    builder = ModelBuilder(shape)
    return read(builder, builder.add("Reshape", "input", builder.constant(target, np.int64)))


@pytest.mark.parametrize(
    ("shape", "target", "perm"),
    [
        ((1, 8, 6, 1), [1, 1, 8, 6], (0, 3, 1, 2)),
        ((1, 1, 8, 6), [1, 8, 6, 1], (0, 2, 3, 1)),
        ((1, 8, 6, 1), [1, 8, 1, 6], (0, 1, 3, 2)),
        ((1, 5, 3, 1, 1), [1, 1, 5, 1, 3], (0, 3, 1, 4, 2)),
    ],
)
def test_moved_axes_of_one_element(shape: tuple[int, ...], target: list[int], perm: tuple[int, ...]) -> None:
    before = reshaped(shape, target)
    after = spell_transposes(before)
    assert [(node.op, node.attributes["perm"]) for node in after.nodes] == [("Transpose", perm)]
    assert_same_result(before, after)


@pytest.mark.parametrize(
    ("shape", "target"),
    [((1, 8, 6, 1), [1, 6, 8, 1]), ((1, 8, 1, 1), [1, 1, 8, 1]), ((1, 8, 6, 1), [1, 8, 6]), ((1, 8, 6), [1, 8, 6])],
)
def test_other_reshapes_stay(shape: tuple[int, ...], target: list[int]) -> None:
    graph = reshaped(shape, target)
    assert spell_transposes(graph) is graph


def test_an_image_of_one_channel_in_the_other_order() -> None:
    """As tf2onnx writes a Keras network on grey images: the transpose in front is a Reshape, that behind is not."""
    builder = ModelBuilder((1, 8, 6, 1))
    x = builder.add("Reshape", "input", builder.constant([-1, 1, 8, 6], np.int64))
    x = builder.add("Transpose", builder.conv(x, 4, 1, 3, 3), perm=[0, 2, 3, 1])
    flat = builder.add("Reshape", x, builder.constant([-1, 96], np.int64))
    graph = read(builder, builder.add("MatMul", flat, builder.weights(96, 5)))
    prepared = prepare_float(graph)
    assert [node.op for node in prepared.nodes] == ["Conv", "Reshape", "Gemm"]
