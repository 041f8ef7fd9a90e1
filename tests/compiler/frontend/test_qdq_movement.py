# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.spec.arch import PRESETS
from tests.support.qdq_models import QdqModel, check, import_model, on_engine

SEED = 59
SHAPE = (1, 4, 6, 5)
Build = Callable[[QdqModel, str], str]


def integers(m: QdqModel, *values: int) -> str:
    return m.constant(np.array(values, np.int64))


def sliced(m: QdqModel, x: str) -> str:
    return m.node("Slice", x, integers(m, 1, 4), integers(m, 4, -7), integers(m, 1, 2), integers(m, 1, -2))


def padded(m: QdqModel, x: str, fill: Any = 1.5, mode: str = "constant") -> str:
    pads = [0, 0, 1, 2, 0, 0, 0, 1]
    more = [m.constant(np.float32(fill) if isinstance(fill, float) else fill)] if mode == "constant" else []
    return m.node("Pad", x, integers(m, *pads), *more, mode=mode)


def turned(m: QdqModel, x: str) -> str:
    return m.node("Transpose", x, perm=[0, 1, 3, 2])


def resized(m: QdqModel, x: str) -> str:
    scales = m.constant(np.array([1, 1, 2, 3], np.float32))
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return m.node("Resize", x, "", scales, **attributes)


MOVES: list[Build] = [sliced, padded, lambda m, x: padded(m, x, mode="reflect"), turned, resized]


@pytest.mark.parametrize("build", MOVES)
@pytest.mark.parametrize("same", [True, False])
def test_moved_elements(build: Build, same: bool) -> None:
    m = QdqModel(SEED)
    x = m.real(m.conv(m.start(*SHAPE), 4, 4, pads=[1, 1, 1, 1]), 0.05, 3)
    y = build(m, x)
    y = m.node("Relu", y) if not same else y
    model = m.model(m.real(y, 0.05 if same else 0.07, 3))
    graph = check(model, judged=2)
    assert [node.op for node in graph.nodes] == ["QConv", "QMove"]
    on_engine(model)


@pytest.mark.parametrize(
    ("build", "channels"), [(sliced, 3), (turned, 4), (resized, 4), (lambda m, x: padded(m, x, np.int8(-5)), 4)]
)
def test_moved_integers(build: Build, channels: int) -> None:
    m = QdqModel(SEED, opset=14)
    codes = m.quantise(m.node("Relu", m.start(*SHAPE)), 0.05, 3)
    moved = build(m, codes)
    m.params[moved] = m.params[codes]
    y = m.real(m.conv(m.dequantise(moved), channels, 3, 1), 0.1)
    graph = check(m.model(y))
    assert [node.op for node in graph.nodes][-2:] == ["QMove", "QConv"]


def test_elements_move_without_a_quantiser() -> None:
    m = QdqModel(SEED)
    y = m.conv(resized(m, m.start(*SHAPE)), 4, 3, 1)
    assert [node.op for node in check(m.model(m.real(y, 0.1))).nodes] == ["QMove", "QConv"]


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_operands_of_different_scales(axis: int) -> None:
    m = QdqModel(SEED)
    x = m.start(*SHAPE)
    parts = [m.real(m.conv(x, 4, 4, 1), scale, zero) for scale, zero in ((0.05, 3), (0.08, -9))]
    model = m.model(m.real(m.node("Concat", *parts, axis=axis), 0.06, 1))
    graph = check(model, judged=3)
    assert graph.nodes[-1].attributes["factors"] == pytest.approx((0.05 / 0.06, 0.08 / 0.06))
    on_engine(model)


def test_operands_of_one_scale_need_no_quantiser() -> None:
    m = QdqModel(SEED)
    x = m.start(*SHAPE)
    parts = [m.real(m.conv(x, 4, 4, 1), 0.05, 3) for _ in range(2)]
    y = m.conv(m.node("Concat", *parts, axis=1), 8, 3, 1)
    assert [node.op for node in check(m.model(m.real(y, 0.1))).nodes] == ["QConv", "QConv", "QMove", "QConv"]


@pytest.mark.parametrize(("axes", "keepdims"), [([2, 3], 1), ([2, 3], 0), ([3], 1)])
def test_means(axes: list[int], keepdims: int) -> None:
    m = QdqModel(SEED)
    graph = check(m.model(m.real(m.node("ReduceMean", m.start(*SHAPE), axes=axes, keepdims=keepdims), 0.04)), judged=1)
    assert [node.op for node in graph.nodes] == ["QPool"]


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (lambda m, x: m.node("Pad", x, integers(m, 0, 0, 4, 0, 0, 1), m.constant(np.float32(1.5))), (1, 4, 16)),
        (lambda m, x: m.node("Pad", x, integers(m, 0, 1, 2, 0, 0, 0), mode="reflect"), (1, 5, 13)),
        (
            lambda m, x: m.node(
                "Slice", x, integers(m, 1, 9), integers(m, 4, -12), integers(m, 1, 2), integers(m, 1, -2)
            ),
            (1, 3, 5),
        ),
        (lambda m, x: m.node("Concat", x, m.node("Relu", x), axis=1), (1, 8, 11)),
        (lambda m, x: m.node("Concat", x, m.real(m.node("Tanh", x), 0.01), axis=2), (1, 4, 22)),
        (lambda m, x: m.node("Resize", x, "", m.constant(np.array([1, 1, 2], np.float32)), mode="nearest"), (1, 4, 22)),
        (lambda m, x: m.node("Resize", x, "", m.constant(np.array([1, 1, 2], np.float32)), mode="linear"), (1, 4, 22)),
        (lambda m, x: m.node("ReduceMean", x, axes=[2], keepdims=1), (1, 4, 1)),
        (lambda m, x: m.node("ReduceMean", x, axes=[2], keepdims=0), (1, 4)),
    ],
)
def test_sequences(build: Build, shape: tuple[int, ...]) -> None:
    m = QdqModel(SEED)
    y = m.real(build(m, m.start(1, 4, 11)), 0.0617, 5)
    model = m.model(y)
    assert check(model).tensors[y].shape == shape
    on_engine(model, replace(PRESETS["4x4"], tables=4))


def unlike_integers(m: QdqModel, x: str) -> str:
    codes = [m.quantise(m.conv(x, 4, 4, 1), scale, 0) for scale in (0.05, 0.08)]
    joined = m.node("Concat", *codes, axis=1)
    m.params[joined] = m.params[codes[0]]
    return m.dequantise(joined)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda m, x: m.node("Transpose", x, perm=[0, 2, 3, 1]), r"perm \[0, 2, 3, 1\] moves channels; accepted: exch"),
        (unlike_integers, r"\(Concat\): it puts integers of different scales together; accepted: integers quantised"),
        (
            lambda m, x: m.node("ReduceMean", x, axes=[1], keepdims=1),
            r"axes \[1\], keepdims 1 of \[1, 4, 6, 5\]; accepted: axes of height and width",
        ),
        (
            lambda m, x: m.node("Clip", padded(m, x), m.constant(np.float32(1)), m.constant(np.float32(2))),
            r"\(Pad\): its result is limited to 1..2; accepted: limits around zero",
        ),
        (lambda m, x: sliced(m, m.conv(x, 4, 4, 1)), r"\(Slice\): tensor 'conv\d_out' is not quantised"),
    ],
)
def test_refusals(build: Build, message: str) -> None:
    m = QdqModel(SEED)
    with pytest.raises(UnsupportedModel, match=message):
        import_model(m.model(m.real(build(m, m.start(*SHAPE)), 0.07)))


@pytest.mark.parametrize(("shape", "perm"), [((1, 3, 1, 5), [0, 2, 3, 1]), ((1, 3, 5, 1), [0, 3, 2, 1])])
def test_channels_that_become_pixels_are_refused(shape: tuple[int, ...], perm: list[int]) -> None:
    """The result has a single channel; a layer on either side keeps the Transpose from the network's ends."""
    m = QdqModel(SEED)
    x = m.real(m.conv(m.start(*shape), 3, 3, 1), 0.06)
    model = m.model(m.real(m.conv(m.node("Transpose", x, perm=perm), 1, 2, 1), 0.1))
    with pytest.raises(UnsupportedModel, match="moves channels; accepted: .* that become channels"):
        import_model(model)
