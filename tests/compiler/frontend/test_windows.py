# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import ShapeError, UnsupportedModel
from systolith.compiler.interp import run_float
from tests.support.float_models import ModelBuilder, random_feeds, read, run_onnxruntime

NEWEST = 22
"""An operator set in which pools have every attribute, and which any accepted onnxruntime runs."""

COUNTED: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1}
"""An average that counts its pads, with windows that reach beyond an input of 6 x 6."""


def agree(builder: ModelBuilder, out: str) -> dict[str, Any]:
    """Check against onnxruntime; returns the last node's attributes."""
    graph = read(builder, out)
    feeds = random_feeds(graph, 2)
    got, expected = run_float(graph, feeds)[out], run_onnxruntime(builder.model(out), feeds)[0]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    return dict(graph.nodes[-1].attributes)


def test_conv_with_everything_omitted() -> None:
    builder = ModelBuilder((1, 3, 6, 7))
    attributes = agree(builder, builder.conv("input", 4, 3, 3, 2))
    assert attributes == {
        "kernel_shape": (3, 2),
        "strides": (1, 1),
        "dilations": (1, 1),
        "pads": (0, 0, 0, 0),
        "group": 1,
    }


@pytest.mark.parametrize(
    ("mode", "pads"), [("SAME_UPPER", (0, 0, 1, 1)), ("SAME_LOWER", (1, 1, 0, 0)), ("VALID", (0, 0, 0, 0))]
)
def test_auto_pad_with_stride_2_is_asymmetric(mode: str, pads: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3, 8, 8))
    assert agree(builder, builder.conv("input", 4, 3, 3, 3, auto_pad=mode, strides=[2, 2]))["pads"] == pads


def test_auto_pad_sees_the_dilated_kernel() -> None:
    """The runtime refuses the combination; the effective kernel is 5 rows high."""
    builder = ModelBuilder((1, 3, 8, 8))
    graph = read(builder, builder.conv("input", 4, 3, 3, 3, auto_pad="SAME_UPPER", dilations=[2, 1]))
    assert graph.nodes[0].attributes["pads"] == (2, 1, 2, 1)


@pytest.mark.parametrize(
    "attributes",
    [
        {"pads": [0, 1, 2, 3]},
        {"dilations": [2, 3], "pads": [2, 3, 2, 3]},
        {"strides": [2, 3], "pads": [1, 1, 1, 1]},
        {"group": 2},
        {"group": 4, "pads": [1, 1, 1, 1]},
    ],
)
def test_conv_attributes(attributes: dict[str, Any]) -> None:
    builder = ModelBuilder((1, 4, 9, 10))
    agree(builder, builder.conv("input", 8, 4 // attributes.get("group", 1), 3, 3, **attributes))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2], "pads": [1, 0, 0, 1]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [3, 2]},
        {"ceil_mode": 1, "strides": [2, 2]},
        {"ceil_mode": 1, "strides": [3, 3], "pads": [0, 1, 1, 0]},
    ],
)
def test_pool_attributes(op: str, attributes: dict[str, Any]) -> None:
    builder = ModelBuilder((1, 3, 8, 9))
    agree(builder, builder.add(op, "input", kernel_shape=[3, 2], **attributes))


def test_average_counts_padding_when_told() -> None:
    builder = ModelBuilder((1, 3, 6, 6))
    out = builder.add("AveragePool", "input", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    assert agree(builder, out)["count_include_pad"] is True


def test_dilated_max_pool() -> None:
    builder = ModelBuilder((1, 3, 8, 8))
    assert agree(builder, builder.add("MaxPool", "input", kernel_shape=[2, 2], dilations=[2, 3]))["dilations"] == (2, 3)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(op: str) -> None:
    builder = ModelBuilder((1, 3, 5, 7))
    out = builder.add(op, "input")
    assert agree(builder, out)["kernel_shape"] == (5, 7)
    assert read(builder, out).nodes[0].origin == (op,)


@pytest.mark.parametrize("seed", range(12))
def test_random_windows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, strides, dilations = rng.integers(1, 5, 2), rng.integers(1, 4, 2), rng.integers(1, 3, 2)
    pads = rng.integers(0, kernel.repeat(2).reshape(2, 2).T.ravel()).tolist()
    geometry = {"strides": strides.tolist(), "pads": pads}
    builder = ModelBuilder((1, 4, 11, 12), seed=seed)
    group = int(rng.choice([1, 2, 4]))
    x = builder.conv("input", 4, 4 // group, *kernel, dilations=dilations.tolist(), group=group, **geometry)
    agree(builder, builder.add(str(rng.choice(["MaxPool", "AveragePool"])), x, kernel_shape=[2, 1], pads=[1, 0, 1, 0]))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"auto_pad": "SOMEHOW"}, "auto_pad 'SOMEHOW'; accepted: NOTSET, VALID, SAME_UPPER, SAME_LOWER"),
        ({"group": 3}, r"group 3 with 4 channels and weights \[8, 4, 3, 3\]"),
        ({"kernel_shape": [3, 4]}, r"kernel_shape \[3, 4\] differs from the weights'"),
    ],
)
def test_refused_convs(attributes: dict[str, Any], message: str) -> None:
    builder = ModelBuilder((1, 4, 9, 9))
    out = builder.conv("input", 8, 4, 3, 3, **attributes)
    with pytest.raises(UnsupportedModel, match=message):
        read(builder, out)


def test_refuses_negative_pads() -> None:
    """Newer onnx packages refuse them at shape inference."""
    builder = ModelBuilder((1, 4, 9, 9))
    out = builder.conv("input", 8, 4, 3, 3, pads=[-1, 0, 0, 0])
    with pytest.raises((UnsupportedModel, ShapeError), match="pads .*(of 4 numbers from 0 on|negative)"):
        read(builder, out)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "Conv", "ConvTranspose"])
def test_volumes_where_axis_0_is_no_batch(op: str) -> None:
    builder = ModelBuilder((2, 4, 5, 6, 7), opset=NEWEST)
    window: dict[str, Any] = {"kernel_shape": [2, 3, 1], "strides": [1, 2, 3], "pads": [0, 1, 0, 1, 1, 0]}
    weights = [builder.weights(4, 4, 2, 3, 1)] if op.startswith("Conv") else []
    out = builder.add(op, "input", *weights, **window)
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 6, 7)).astype(np.float32)
    got = run_float(read(builder, out, batch=None), {"input": x})[out]
    model = builder.model(out)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    np.testing.assert_allclose(got, run_onnxruntime(model, {"input": x})[0], rtol=1e-4, atol=1e-5)


def test_refuses_volumes() -> None:
    builder = ModelBuilder((1, 4, 9, 9, 9))
    out = builder.conv("input", 8, 4, 3, 3, 3)
    with pytest.raises(UnsupportedModel, match=r"tensor 'input' has shape \[1, 4, 9, 9, 9\]; accepted: \(N, C, H, W\)"):
        read(builder, out)


def test_refuses_windows_without_input() -> None:
    builder = ModelBuilder((1, 3, 6, 6))
    out = builder.add("AveragePool", "input", kernel_shape=[2, 2], pads=[2, 2, 2, 2])
    with pytest.raises(UnsupportedModel, match="leave windows without input"):
        read(builder, out)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_ceil_mode_before_opset_22_may_ask_for_a_window_in_the_padding(op: str) -> None:
    """ONNX counted a window that starts behind the input; from opset 22 on it does not, as no runtime ever did."""
    attributes: dict[str, Any] = {"kernel_shape": [3, 2], "ceil_mode": 1, "strides": [3, 3], "pads": [1, 1, 1, 1]}
    newer = ModelBuilder((1, 3, 8, 9), opset=22)
    agree(newer, newer.add(op, "input", **attributes))
    older = ModelBuilder((1, 3, 8, 9), opset=17)
    out = older.add(op, "input", **attributes)
    with pytest.raises(
        UnsupportedModel, match="leave windows without input.*; set ceil_mode=0 or export with opset 22"
    ):
        read(older, out)


@pytest.mark.parametrize("pads", [[1, 1, 1, 1], [0, 1, 0, 0]])
def test_counted_padding_beyond_the_pads(pads: list[int]) -> None:
    """What ceil_mode reaches beyond the pads does not count, the pads do."""
    builder = ModelBuilder((1, 3, 6, 6), opset=NEWEST)
    out = builder.add("AveragePool", "input", pads=pads, **COUNTED)
    assert agree(builder, out)["count_include_pad"] is False
    assert [node.op for node in read(builder, out).nodes] == ["Pad", "AveragePool"]


def test_counted_padding_without_pads_counts_nothing() -> None:
    builder = ModelBuilder((1, 3, 6, 6), opset=NEWEST)
    assert agree(builder, builder.add("AveragePool", "input", **COUNTED))["count_include_pad"] is False


@pytest.mark.parametrize("counted", [0, 1])
@pytest.mark.parametrize("ceil", [0, 1])
def test_dilated_average_pool(counted: int, ceil: int) -> None:
    builder = ModelBuilder((1, 3, 9, 8), opset=NEWEST)
    attributes: dict[str, Any] = {"dilations": [2, 3], "pads": [1, 0, 2, 1], "strides": [2, 2]}
    out = builder.add(
        "AveragePool", "input", kernel_shape=[3, 2], count_include_pad=counted, ceil_mode=ceil, **attributes
    )
    assert agree(builder, out)["dilations"] == (2, 3)


def test_refuses_dilated_windows_that_step_over_the_input() -> None:
    builder = ModelBuilder((1, 1, 1, 4))
    out = builder.add("MaxPool", "input", kernel_shape=[2, 1], dilations=[2, 1], pads=[1, 0, 1, 0])
    with pytest.raises(UnsupportedModel, match="leave windows without input"):
        read(builder, out)
