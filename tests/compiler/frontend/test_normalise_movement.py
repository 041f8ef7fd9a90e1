# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, agreeing, only, read

NEWEST = 21
"""The newest operator set that any accepted onnxruntime runs."""


def integers(builder: ModelBuilder, *values: list[int]) -> list[str]:
    return [builder.constant(value, np.int64) for value in values]


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concat(axis: int) -> None:
    builder = ModelBuilder((1, 4, 5, 6))
    left, right = (builder.conv("input", 4, 4, 1, 1) for _ in range(2))
    node = only(agreeing(builder, builder.add("Concat", left, right, "input", axis=axis)), "Concat")
    assert node.attributes == {"axis": axis % 4}


def test_concat_with_a_constant_repeats_it_for_every_sample() -> None:
    builder = ModelBuilder((1, 4, 5))
    agreeing(builder, builder.add("Concat", builder.weights(1, 2, 5), "input", axis=1))


def test_slice_with_attributes() -> None:
    builder = ModelBuilder((1, 4, 5, 6), opset=9)
    out = builder.add("Slice", "input", starts=[1, -3], ends=[3, 1000], axes=[1, 3])
    node = only(agreeing(builder, out), "Slice")
    assert node.attributes == {"starts": (0, 1, 0, 3), "steps": (1, 1, 1, 1)}


def test_slice_without_axes_counts_them() -> None:
    builder = ModelBuilder((1, 4, 5), opset=9)
    assert agreeing(builder, builder.add("Slice", "input", starts=[0, 1], ends=[9, 3])).tensors["slice0_out"].shape == (
        1,
        2,
        5,
    )


@pytest.mark.parametrize("opset", [10, 13, NEWEST])
@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1], [4], [2], [2]),
        ([-1], [-1000], [3], [-1]),
        ([4, 5], [0, 1], [-2, -1], [-2, -3]),
        ([0], [4], [1], [1]),
        ([3], [-5], [1], [-1]),
    ],
)
def test_slice_with_inputs(opset: int, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> None:
    builder = ModelBuilder((1, 4, 5, 6), opset=opset)
    graph = agreeing(builder, builder.add("Slice", "input", *integers(builder, starts, ends, axes, steps)))
    assert min(only(graph, "Slice").attributes["starts"]) >= 0


@pytest.mark.parametrize(("opset", "given"), [(9, True), (11, False), (13, True), (13, False), (NEWEST, True)])
def test_split_becomes_slices_of_what_is_used(opset: int, given: bool) -> None:
    builder = ModelBuilder((1, 6, 5), opset=opset)
    sizes = [1, 3, 2] if given else [2, 2, 2]
    by_input = integers(builder, sizes) if given and opset >= 13 else []
    attributes: dict[str, Any] = {"split": sizes} if given and opset < 13 else {}
    first = builder.add("Split", "input", *by_input, outputs=3, axis=1, **attributes)
    graph = agreeing(builder, first, first.replace("_out", "_out2"))
    assert [node.op for node in graph.nodes] == ["Slice", "Slice"]
    assert [graph.tensors[name].shape[1] for name in graph.outputs] == [sizes[0], sizes[2]]
    verify(graph)


def test_split_into_a_number_of_parts() -> None:
    """The last is smaller where they cannot be equal."""
    builder = ModelBuilder((1, 7, 2), opset=NEWEST)
    first = builder.add("Split", "input", outputs=3, axis=1, num_outputs=3)
    graph = agreeing(builder, first, "split0_out1", "split0_out2")
    assert [graph.tensors[name].shape[1] for name in graph.outputs] == [3, 3, 1]


@pytest.mark.parametrize("opset", [9, 11, NEWEST])
@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad(opset: int, mode: str) -> None:
    builder = ModelBuilder((1, 2, 4, 5), opset=opset)
    pads = [0, 0, 1, 2, 0, 0, 3, 0]
    if opset < 11:
        out = builder.add("Pad", "input", pads=pads, mode=mode, value=1.5)
    else:
        out = builder.add("Pad", "input", *integers(builder, pads), builder.constant(1.5), mode=mode)
    node = only(agreeing(builder, out), "Pad")
    assert node.attributes == {"pads": tuple(pads), "value": 1.5, "mode": mode}
    assert node.inputs == ("input",)


def test_pad_of_some_axes_only() -> None:
    builder = ModelBuilder((1, 2, 4, 5), opset=NEWEST)
    pads, axes = integers(builder, [1, 2, 0, 3], [-1, 1])
    node = only(agreeing(builder, builder.add("Pad", "input", pads, "", axes)), "Pad")
    assert node.attributes == {"pads": (0, 2, 0, 1, 0, 3, 0, 0), "value": 0.0, "mode": "constant"}


def test_wrapping_pad() -> None:
    builder = ModelBuilder((1, 2, 4, 5), opset=NEWEST)
    agreeing(builder, builder.add("Pad", "input", *integers(builder, [0, 0, 2, 1, 0, 0, 3, 0]), mode="wrap"))


def test_negative_pads_cut_first() -> None:
    builder = ModelBuilder((1, 2, 4, 5))
    graph = agreeing(builder, builder.add("Pad", "input", *integers(builder, [0, 0, -1, 2, 0, 0, 2, -1])))
    assert [node.op for node in graph.nodes] == ["Slice", "Pad"]
    verify(graph)


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 2, 1], [0, 1, 2, 3]])
def test_transpose(perm: list[int]) -> None:
    builder = ModelBuilder((1, 2, 4, 5))
    assert only(agreeing(builder, builder.add("Transpose", "input", perm=perm)), "Transpose").attributes == {
        "perm": tuple(perm)
    }


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "message"),
    [
        ("Concat", ["input"], {"axis": 0}, "it joins along axis 0"),
        ("Split", [], {"axis": 0}, "it splits axis 0"),
        ("Transpose", [], {}, r"perm \[2, 1, 0\] moves axis 0"),
        ("Transpose", [], {"perm": [1, 0, 2]}, r"perm \[1, 0, 2\] moves axis 0"),
        ("Pad", [], {"pads": [0, 0, 0, 1, 0, 0]}, "it pads axis 0"),
        ("Pad", [], {"pads": [0] * 6, "mode": "mirror"}, "mode 'mirror'; accepted: constant, reflect, edge, wrap"),
        ("Slice", [], {"starts": [1], "ends": [1], "axes": [0]}, "it takes a part of axis 0"),
    ],
)
def test_refusals(op: str, inputs: list[str], attributes: dict[str, Any], message: str) -> None:
    builder = ModelBuilder((1, 2, 3), opset=9)
    out = builder.add(op, "input", *inputs, **attributes)
    with pytest.raises(UnsupportedModel, match=message):
        read(builder, out)


def test_refuses_computed_parameters() -> None:
    builder = ModelBuilder((1, 2))
    ends = builder.add("Cast", builder.add("ArgMax", "input", axis=1), to=7)
    out = builder.add("Slice", "input", *integers(builder, [0]), ends)
    with pytest.raises(Exception, match=r"is computed by the network|dynamic|not supported"):
        read(builder, out)
