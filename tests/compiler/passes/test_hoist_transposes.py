import numpy as np
import pytest

from systolith.compiler.passes.hoist_transposes import hoist_transposes
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, assert_same_result, read


@pytest.mark.parametrize(("shape", "perm"), [([1, 1, 7, 3], [0, 3, 1, 2]), ([1, 7, 1, 3], [0, 3, 2, 1])])
def test_the_transpose_comes_first(shape: list[int], perm: list[int]) -> None:
    builder = ModelBuilder((1, 7, 3))
    image = builder.add("Reshape", "input", builder.constant(shape, np.int64))
    before = read(builder, builder.add("Relu", builder.add("Transpose", image, perm=perm)))
    after = hoist_transposes(before)
    verify(after)
    assert_same_result(before, after)
    assert [node.op for node in after.nodes] == ["Transpose", "Reshape", "Relu"]
    assert after.nodes[0].attributes == {"perm": (0, 2, 1)}


@pytest.mark.parametrize(
    ("shape", "perm"),
    [
        # a real reshape; one whose Transpose moves an axis of one element only
        ([1, 3, 7, 1], [0, 2, 3, 1]),
        ([1, 1, 7, 3], [0, 2, 1, 3]),
    ],
)
def test_others_stay(shape: list[int], perm: list[int]) -> None:
    builder = ModelBuilder((1, 7, 3))
    image = builder.add("Reshape", "input", builder.constant(shape, np.int64))
    graph = read(builder, builder.add("Transpose", image, perm=perm))
    assert hoist_transposes(graph) is graph


def test_other_readers_stay() -> None:
    builder = ModelBuilder((1, 7, 3))
    image = builder.add("Reshape", "input", builder.constant([1, 1, 7, 3], np.int64))
    graph = read(builder, builder.add("Transpose", image, perm=[0, 3, 1, 2]), builder.add("Relu", image))
    assert hoist_transposes(graph) is graph
