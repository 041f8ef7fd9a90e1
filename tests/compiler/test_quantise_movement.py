# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import QuantisationError, UnsupportedModel
from systolith.compiler.ir import Graph, QParams
from systolith.compiler.quantise_config import QuantiseConfig
from tests.support.float_models import ModelBuilder
from tests.support.lsb import compiled


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def params(graph: Graph, name: str) -> QParams:
    found = graph.tensors[name].qparams
    assert found is not None
    return found


def integers(builder: ModelBuilder, *values: int) -> str:
    return builder.constant(values, np.int64)


@pytest.mark.parametrize("channels", [4, 3])
def test_concat_of_its_own_operands_only_copies(channels: int) -> None:
    b = ModelBuilder((1, 6, 5, 5))
    one, other = b.conv("input", channels, 6, 1, 1), b.conv("input", 4, 6, 3, 3, pads=[1] * 4)
    graph = compiled(b, b.add("Concat", one, other, axis=1), lsb=1.6)
    assert ops(graph) == ["QConv", "QConv", "QMove"]
    assert graph.nodes[2].attributes["factors"] == (1.0, 1.0)


def test_concat_rescales_an_operand_that_others_read() -> None:
    b = ModelBuilder((1, 4, 5, 5))
    small = b.add("Clip", "input", b.constant(0.0), b.constant(0.5))
    out = b.add("Concat", small, b.conv("input", 4, 4, 1, 1), axis=2)
    graph = compiled(b, out, b.add("MaxPool", small, kernel_shape=[2, 2]), lsb=1.6)
    move = next(node for node in graph.nodes if node.op == "QMove")
    assert move.attributes["factors"][0] == params(graph, small).scale / params(graph, out).scale < 0.5
    assert move.attributes["factors"][1] == 1.0


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_concat_along_any_axis(axis: int) -> None:
    b = ModelBuilder((1, 5, 4, 6))
    pooled = b.add("MaxPool", "input", kernel_shape=[3, 3], pads=[1] * 4)
    assert ops(compiled(b, b.add("Concat", "input", pooled, "input", axis=axis), lsb=0.01)) == ["QPool", "QMove"]


def test_concat_of_vectors() -> None:
    b = ModelBuilder((1, 5))
    out = b.add("Concat", "input", b.add("Relu", "input"), axis=1)
    assert compiled(b, out, lsb=0.6).tensors[out].shape == (1, 10)


SLICES: list[tuple[Any, ...]] = [
    ((1, 0), (4, 5), (1, 2), (1, 1)),
    ((-1, 6), (0, 0), (2, 3), (-2, -1)),
    ((0, 5), (9, 0), (1, 3), (2, -3)),
]


@pytest.mark.parametrize("slices", SLICES)
def test_slices_in_either_direction(slices: Any) -> None:
    b = ModelBuilder((1, 6, 5, 7))
    out = b.add("Slice", "input", *(integers(b, *values) for values in slices))
    graph = compiled(b, out, lsb=0.01)
    assert ops(graph) == ["QMove"]
    assert params(graph, out) == params(graph, "input")


def test_split_is_a_slice_for_each_part() -> None:
    b = ModelBuilder((1, 6, 5, 5))
    first = b.add("Split", "input", integers(b, 2, 4), outputs=2, axis=1)
    graph = compiled(b, first, f"{first}1", lsb=0.01)
    assert [(node.op, graph.tensors[node.outputs[0]].shape[1]) for node in graph.nodes] == [("QMove", 2), ("QMove", 4)]


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pads(mode: str) -> None:
    b = ModelBuilder((1, 5, 4, 5), opset=19)
    out = b.add("Pad", "input", integers(b, 0, 2, 1, 2, 0, 1, 3, 0), mode=mode)
    graph = compiled(b, out, lsb=0.01)
    assert ops(graph) == ["QMove"]
    assert params(graph, out) == params(graph, "input")


@pytest.mark.parametrize(("value", "lsb"), [(0.7, 0.51), (50.0, 0.51)])
def test_a_padding_value(value: float, lsb: float) -> None:
    b = ModelBuilder((1, 5, 4, 5))
    out = b.add("Pad", "input", integers(b, 0, 1, 1, 2, 0, 0, 3, 1), b.constant(value))
    graph = compiled(b, out, lsb=lsb)
    result = params(graph, out)
    assert (result == params(graph, "input")) is (value < 1)
    assert abs(graph.nodes[0].attributes["fill"] * result.scale - value) <= result.scale / 2


PERMUTED: list[tuple[tuple[int, ...], tuple[int, ...], list[str]]] = [
    ((1, 5, 4, 6), (0, 1, 3, 2), ["QMove"]),
    ((1, 1, 4, 6), (0, 2, 1, 3), ["QConv"]),
    ((1, 1, 4, 6), (0, 2, 3, 1), ["QConv", "View"]),
    ((1, 1, 4, 6), (0, 3, 1, 2), ["QConv", "View"]),
    ((1, 1, 4, 6), (0, 3, 2, 1), ["QConv"]),
    ((1, 5, 1, 1), (0, 2, 1, 3), ["QMove"]),
    ((1, 5, 1, 1), (0, 3, 2, 1), ["QMove"]),
    ((1, 5, 1, 1), (0, 2, 3, 1), ["QMove"]),
    ((1, 5, 1, 6), (0, 3, 2, 1), ["QTranspose"]),
    ((1, 5, 4, 1), (0, 2, 1, 3), ["QTranspose"]),
    ((1, 5, 4, 1), (0, 1, 3, 2), ["View"]),
    ((1, 5, 1, 6), (0, 1, 3, 2), ["View"]),
]


@pytest.mark.parametrize(("shape", "perm", "made"), PERMUTED)
def test_transpositions(shape: tuple[int, ...], perm: tuple[int, ...], made: list[str]) -> None:
    b = ModelBuilder(shape)
    assert ops(compiled(b, b.add("Transpose", "input", perm=perm), lsb=0.01)) == made


@pytest.mark.parametrize(
    ("shape", "perm"), [((1, 5, 1, 6), (0, 2, 3, 1)), ((1, 5, 4, 1), (0, 3, 2, 1)), ((1, 5, 4, 6), (0, 2, 3, 1))]
)
def test_channels_that_become_pixels_are_refused(shape: tuple[int, ...], perm: tuple[int, ...]) -> None:
    """In the first two the result has a single channel, with the map's channels along one of its sides."""
    b = ModelBuilder(shape)
    with pytest.raises(UnsupportedModel, match="moves channels; accepted: .* that become channels"):
        compiled(b, b.add("Transpose", "input", perm=perm), lsb=0.01)


def test_a_transposition_that_changes_nothing_is_a_copy() -> None:
    b = ModelBuilder((1, 5, 4, 6))
    assert ops(compiled(b, b.add("Transpose", "input", perm=(0, 1, 2, 3)), lsb=0.01)) == ["QMove"]


@pytest.mark.parametrize(("axes", "keep", "op"), [((2, 3), 1, "QPool"), ((2, 3), 0, "QPool"), ((3,), 1, "QPool")])
def test_means_over_height_and_width(axes: tuple[int, ...], keep: int, op: str) -> None:
    b = ModelBuilder((1, 5, 4, 6), opset=18)
    assert ops(compiled(b, b.add("ReduceMean", "input", integers(b, *axes), keepdims=keep), lsb=0.51)) == [op]


@pytest.mark.parametrize("axes", [(1,), (1, 2), (1, 2, 3)])
def test_means_over_channels(axes: tuple[int, ...]) -> None:
    b = ModelBuilder((1, 6, 4, 5), opset=18)
    graph = compiled(b, b.add("ReduceMean", "input", integers(b, *axes)), lsb=0.51)
    assert ops(graph) == ["QConv"]


SEQUENCES: list[tuple[Any, tuple[int, ...]]] = [
    (lambda b: b.add("Pad", "input", integers(b, 0, 0, 4, 0, 0, 1), b.constant(0.5)), (1, 4, 16)),
    (lambda b: b.add("Pad", "input", integers(b, 0, 1, 2, 0, 0, 0), mode="reflect"), (1, 5, 13)),
    (
        lambda b: b.add("Slice", "input", *(integers(b, *pair) for pair in ((1, 9), (4, -12), (1, 2), (1, -2)))),
        (1, 3, 5),
    ),
    (lambda b: b.add("Concat", "input", b.conv("input", 4, 4, 1), axis=1), (1, 8, 11)),
    (lambda b: b.add("Concat", "input", b.conv("input", 4, 4, 3), axis=2), (1, 4, 20)),
    (lambda b: b.add("Resize", "input", "", b.constant((1, 1, 2)), mode="nearest"), (1, 4, 22)),
    (lambda b: b.add("Resize", "input", "", b.constant((1, 1, 2)), mode="linear"), (1, 4, 22)),
    (lambda b: b.add("ReduceMean", "input", integers(b, 2), keepdims=1), (1, 4, 1)),
    (lambda b: b.add("ReduceMean", "input", integers(b, 2), keepdims=0), (1, 4)),
    (lambda b: b.add("ReduceMean", "input", integers(b, 1, 2), keepdims=1), (1, 1, 1)),
]


@pytest.mark.parametrize(("build", "shape"), SEQUENCES)
def test_sequences(build: Any, shape: tuple[int, ...]) -> None:
    b = ModelBuilder((1, 4, 11), opset=18)
    out = build(b)
    assert compiled(b, out, lsb=1.6).tensors[out].shape == shape


def test_a_mean_over_height_leaves_a_sequence() -> None:
    b = ModelBuilder((1, 4, 6, 5), opset=18)
    out = b.add("ReduceMean", "input", integers(b, 2), keepdims=0)
    assert compiled(b, out, lsb=0.51).tensors[out].shape == (1, 4, 5)


def _constant_operand(b: ModelBuilder) -> str:
    return b.add("Concat", "input", b.weights(1, 2, 4, 5), axis=1, name="n")


def _channels_moved(b: ModelBuilder) -> str:
    return b.add("Transpose", "input", perm=(0, 2, 3, 1), name="n")


def _lost_axis(b: ModelBuilder) -> str:
    return b.add("ReduceMean", "input", b.constant([1, 2], np.int64), keepdims=0, name="n")


def _lost_width(b: ModelBuilder) -> str:
    return b.add("ReduceMean", "input", b.constant([3], np.int64), keepdims=0, name="n")


REFUSED = [
    (_constant_operand, r"'n' \(Concat\): operand 'c0' is constant; accepted: operands that the network computes"),
    (
        _channels_moved,
        r"'n' \(Transpose\): perm \[0, 2, 3, 1\] of shape \[1, 6, 4, 5\] moves channels; .*channels first",
    ),
    (_lost_axis, r"'n' \(ReduceMean\): axes \[1, 2\] without keepdims; accepted: keepdims=1, means over all"),
    (
        _lost_width,
        r"'n' \(ReduceMean\): axes \[3\] without keepdims; accepted: keepdims=1, means over all but channels",
    ),
]


@pytest.mark.parametrize(("build", "message"), REFUSED)
def test_refusals(build: Any, message: str) -> None:
    b = ModelBuilder((1, 6, 4, 5), opset=18)
    with pytest.raises(UnsupportedModel, match=message):
        compiled(b, build(b), lsb=1)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_means_over_a_sequence_s_channels(keepdims: int) -> None:
    """Tokens are channels in ONNX: their mean leaves one number for each feature."""
    b = ModelBuilder((1, 6, 5))
    graph = compiled(b, b.add("ReduceMean", "input", axes=[1], keepdims=keepdims), lsb=0.52)
    assert [node.op for node in graph.nodes] == ["QConv", *([] if keepdims else ["QTranspose"])]


def test_sums_of_a_mean_must_fit_the_accumulator() -> None:
    b = ModelBuilder((1, 600, 1, 1))
    out = b.add("ReduceMean", "input", axes=[1], name="mean")
    with pytest.raises(QuantisationError, match="'mean': .* need 18 accumulator bits; accepted"):
        compiled(b, out, lsb=1, config=QuantiseConfig(acc_bits=16))


def test_movement_without_regularity_is_refused() -> None:
    b = ModelBuilder((1, 300, 1, 1))
    out = b.add("Transpose", "input", perm=(0, 2, 1, 3), name="n")
    with pytest.raises(
        UnsupportedModel, match=r"'n' \(Transpose\): it takes 300 moves of regular data; accepted: at most 256"
    ):
        compiled(b, out, lsb=1)
