# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import VerifyError
from systolith.compiler.ir import AddAttributes, Graph, Move, Node, QParams, Run, Tensor
from systolith.compiler.verify import verify
from systolith.compiler.verify_integer import ADD_LIMIT, FACTOR_LIMIT, image_shape
from systolith.spec.fixed import LaneWidths, UnrepresentableScale, make_add_multiplier, make_scaler

Q = QParams(0.5, 10)
LO, HI = Q.low - Q.zero_point, Q.high - Q.zero_point


def graph(node: Node, *shapes: tuple[int, ...]) -> Graph:
    """A node whose inputs and output have the given shapes."""
    names = (*dict.fromkeys(node.inputs), *node.outputs)
    constants = {"w": np.ones((4, 3, 3, 3), np.int64), "b": np.ones(4, np.int64), "f": np.full(4, 0.5)}
    tensors = {name: Tensor(name, shape, Q) for name, shape in zip(names, shapes, strict=True)}
    return Graph("g", node.inputs, node.outputs, (node,), tensors, constants)


def conv(**changes: Any) -> Graph:
    attributes: dict[str, Any] = {
        "weight": "w",
        "bias": "b",
        "factor": "f",
        "kernel": (3, 3),
        "strides": (2, 1),
        "pads": (0, 1, 1, 0),
        "dilations": (1, 1),
        "group": 1,
        "lo": LO,
        "hi": HI,
        **changes,
    }
    return graph(Node("QConv", "n", ("x",), ("y",), attributes), (1, 3, 6, 6), (1, 4, 3, 5))


def pool(**changes: Any) -> Graph:
    attributes: dict[str, Any] = {
        "mode": "max",
        "kernel": (2, 2),
        "strides": (2, 2),
        "pads": (0, 0, 0, 0),
        "count_include_pad": False,
        "factor": 1.0,
        "lo": LO,
        "hi": HI,
        **changes,
    }
    return graph(Node("QPool", "n", ("x",), ("y",), attributes), (1, 3, 6, 6), (1, 3, 3, 3))


GOOD_ADD = AddAttributes(1.0, 2.0, LO, HI)


def add(attributes: AddAttributes = GOOD_ADD, other: tuple[int, ...] = (1, 3, 2, 2)) -> Graph:
    return graph(Node("QAdd", "n", ("a", "b2"), ("y",), {"add": attributes}), (1, 3, 2, 2), other, (1, 3, 2, 2))


def product(*, first: tuple[int, ...] = (1, 3, 2, 2), **changes: Any) -> Graph:
    node = Node("QMul", "n", ("a", "b2"), ("y",), {"factor": 1.0, "lo": LO, "hi": HI, **changes})
    return graph(node, first, (1, 3, 1, 1), (1, 3, 2, 2))


def matmul(
    left: tuple[int, ...] = (1, 6, 2, 5), right: tuple[int, ...] = (1, 3, 2, 3), zero: int = 0, factor: float = 0.1
) -> Graph:
    node = Node("QMatMul", "n", ("a", "b"), ("y",), {"factor": factor, "lo": LO, "hi": HI})
    made = graph(node, left, right, (1, 3, 2, 5))
    centred = {name: replace(made.tensors[name], qparams=QParams(0.5, zero)) for name in ("a", "b")}
    return made.with_(tensors={**made.tensors, **centred})


def requant(factor: float = 1.0, shape: tuple[int, ...] = (1, 3)) -> Graph:
    return graph(Node("QRequant", "n", ("x",), ("y",), {"factor": factor, "lo": LO, "hi": HI}), (1, 3, 1, 1), shape)


def with_table(made: Graph, entries: Any, **attributes: Any) -> Graph:
    """The graph with a constant ``t`` and its node with further attributes."""
    node = replace(made.nodes[0], attributes={**made.nodes[0].attributes, **attributes})
    return made.with_(nodes=(node,), constants={**made.constants, "t": np.asarray(entries)})


WHOLE = np.arange(-128, 128)
INNER = QParams(0.1, 127)


def table(entries: Any = WHOLE, shape: tuple[int, ...] = (1, 3)) -> Graph:
    return with_table(graph(Node("QTable", "n", ("x",), ("y",), {"table": "t"}), (1, 3, 1, 1), shape), entries)


def inner(made: Graph, entries: Any = WHOLE, params: QParams = INNER, **bounds: int) -> Graph:
    return with_table(made, entries, table="t", inner=params, **bounds)


PART = Move(0, Run(1, 0, 2), Run(0, 1, 3), Run(4, 0, 2, -2))


def move(*moves: Move, **changes: Any) -> Graph:
    attributes = {"moves": moves or (PART,), "factors": (1.0,), "fill": 0, "lo": LO, "hi": HI, **changes}
    return graph(Node("QMove", "n", ("x",), ("y",), attributes), (1, 3, 5, 6), (1, 2, 4, 2))


def view(*shapes: tuple[int, ...]) -> Graph:
    return graph(Node("View", "n", ("x",), ("y",)), *shapes)


def test_limits_are_those_of_the_lanes() -> None:
    for bits in (4, 8, 16):
        widths = LaneWidths(bits, 32)
        with pytest.raises(UnrepresentableScale):
            make_scaler(FACTOR_LIMIT, widths)
        with pytest.raises(UnrepresentableScale):
            make_add_multiplier(ADD_LIMIT, widths)
        make_scaler(FACTOR_LIMIT * 0.99, widths)
        make_add_multiplier(ADD_LIMIT * 0.99, widths)


def test_image_shape() -> None:
    assert image_shape((1, 3, 4, 5)) == (3, 4, 5)
    assert image_shape((1, 3, 5)) == (3, 1, 5)
    assert image_shape((1, 3)) == (3, 1, 1)


def test_accepts_good_nodes() -> None:
    views = [view((1, 3), (1, 3, 1, 1)), view((1, 1, 4, 4), (1, 16)), view((1, 3, 2, 6), (1, 3, 3, 4))]
    dilated = pool(kernel=(2, 2), dilations=(2, 2), strides=(2, 2), pads=(0, 0, 1, 1))
    moves = [move(), move(replace(PART, transposed=True))]
    for good in (
        conv(),
        pool(),
        dilated,
        add(),
        add(other=(1, 3)),
        product(),
        matmul(),
        requant(),
        table(),
        *views,
        *moves,
    ):
        verify(good)


def test_bounds_in_front_of_a_table_are_those_of_inner() -> None:
    for made in (conv(), pool(), product(), requant()):
        verify(inner(made, lo=-255, hi=0))
        with pytest.raises(VerifyError, match=r"bounds -118..117 are not inside -255..0"):
            verify(inner(made, lo=-118, hi=117))
    verify(inner(add(AddAttributes(1.0, 1.0, -255, 0))))
    with pytest.raises(VerifyError, match="are not inside -255..0"):
        verify(inner(add()))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (conv(kernel=(3, 2)), r"weight has shape \(4, 3, 3, 3\), expected \(4, 3, 3, 2\)"),
        (conv(group=2), "group 2 does not divide 3 and 4"),
        (conv(strides=(1, 1)), r"output has \(C, H, W\) \(4, 3, 5\), its operands make \(4, 5, 5\)"),
        (conv(bias="f"), "weight and bias must be int64"),
        (conv(lo=LO - 1), f"bounds {LO - 1}..{HI} are not inside {LO}..{HI}"),
        (conv(hi=LO - 1, lo=LO), "are not inside"),
        (conv(add=AddAttributes(1.0, 1.0, LO, HI)), "it has an add but no second operand"),
        (pool(mode="median"), "mode 'median' is neither max nor average"),
        (pool(factor=4.0), r"factor 4.0 is not in \(0, 4\)"),
        (pool(factor=0.0), "factor 0.0 is not in"),
        (pool(kernel=(3, 3)), r"output has \(C, H, W\) \(3, 3, 3\), its operands make \(3, 2, 2\)"),
        (add(AddAttributes(1.0, 8.0, LO, HI)), r"factor 8.0 is not in \(0, 8\)"),
        (add(AddAttributes(1.0, 1.0, LO, HI + 1)), "are not inside"),
        (add(other=(1, 3, 2, 1)), r"operand 'b2' has \(C, H, W\) \(3, 2, 1\), the result \(3, 2, 2\)"),
        (add(other=(1, 1, 1, 1)), r"operand 'b2' has \(C, H, W\) \(1, 1, 1\), the result \(3, 2, 2\)"),
        (product(first=(1, 3, 1, 1)), r"operand 'a' has \(C, H, W\) \(3, 1, 1\), the result \(3, 2, 2\)"),
        (product(factor=7.5), r"factor 7.5 is not in \(0, 7.41\d+\)"),
        (product(hi=HI + 1), "are not inside"),
        (matmul(zero=3), r"operands have zero points \[3, 3\], expected 0"),
        (matmul(right=(1, 3, 5)), r"operands have \(C, H, W\) \(6, 2, 5\) and \(3, 1, 5\): sums of 6 and 5 products"),
        (matmul(right=(1, 4, 6)), "its operands make"),
        (matmul(factor=0.0), r"factor 0\.0 is not in"),
        (requant(float("nan")), "factor nan is not in"),
        (requant(shape=(1, 4)), "its operands make"),
        (table(range(-128, 127)), r"table must be int64 of shape \(256,\)"),
        (table(np.zeros(256)), "table must be int64"),
        (table(range(-127, 129)), r"table entries -127..128 are not inside -128..127"),
        (table(shape=(1, 4)), "its operands make"),
        (with_table(requant(), WHOLE, table="t"), "it has only one of table and inner"),
        (with_table(requant(), WHOLE, inner=Q), "it has only one of table and inner"),
        (inner(requant(), params=QParams(0.1, 300)), "inner's zero point is not of 8 bits"),
        (inner(requant(), params=QParams(0.0, 0)), "inner has scale 0.0"),
        (inner(requant(), range(16), QParams(0.1, 0, 8), lo=0, hi=1), r"table must be int64 of shape \(256,\)"),
        (with_table(table(), WHOLE, inner=Q), "has attributes"),
        (pool(dilations=(3, 1)), r"output has \(C, H, W\) \(3, 3, 3\), its operands make \(3, 2, 3\)"),
        (move(factors=(1.0, 1.0)), "it has 2 factors"),
        (move(factors=(4.0,)), r"factor 4.0 is not in \(0, 4\)"),
        (move(lo=1), f"bounds 1..{HI} leave out the zero point"),
        (move(fill=HI + 1), "are not inside"),
        (move(PART, PART), "its moves overlap"),
        (move(replace(PART, input=1)), "it moves from input 1 of 1"),
        (move(replace(PART, channels=Run(0, 0, 2, 1, 2))), "channels have steps"),
        (move(replace(PART, channels=Run(2, 0, 2))), r"Run\(source=2, .*\) leaves a source of 3"),
        (move(replace(PART, columns=Run(1, 0, 2, -2))), "leaves a source of 6"),
        (move(replace(PART, columns=Run(5, 0, 2, -2), transposed=True)), "leaves a source of 5"),
        (move(replace(PART, rows=Run(0, 2, 3))), "leaves a target of 4"),
        (move(replace(PART, rows=Run(0, 0, 0))), "is empty or runs backwards"),
        (view((1, 3), (1, 4)), r"it turns \(1, 3\) into \(1, 4\)"),
        (view((1, 2, 2, 2), (1, 8)), "it changes the NHWC order"),
        (view((1, 2, 3, 1), (1, 3, 2, 1)), "it changes the NHWC order"),
        (view((1, 2, 3, 1, 1), (1, 6)), r"shape \(1, 2, 3, 1, 1\) is of rank 5"),
    ],
)
def test_refusals(broken: Graph, message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        verify(broken)


@pytest.mark.parametrize(("bits", "top"), [(8, 127), (4, 7), (3, 3), (2, 1)])
def test_weights_keep_the_bits_that_are_promised(bits: int, top: int) -> None:
    good = conv(weight_bits=bits)
    weight = np.zeros(good.constant("w").shape, dtype=np.int64)
    weight[0, 0, 0, :2] = top, -top - 1
    verify(good.with_(constants={**good.constants, "w": weight}))
    weight[0, 0, 0, 1] -= 1
    with pytest.raises(VerifyError, match=rf"weights -{top + 2}\.\.{top} are not of {bits} bits"):
        verify(good.with_(constants={**good.constants, "w": weight}))


@pytest.mark.parametrize("bits", [1, 17, 0, "4"])
def test_other_promises_are_refused(bits: object) -> None:
    with pytest.raises(VerifyError, match=rf"weight_bits {bits!r} is not in 2\.\.16"):
        verify(conv(weight_bits=bits))


def test_only_convolutions_have_weight_bits() -> None:
    with pytest.raises(VerifyError, match="has attributes"):
        verify(pool(weight_bits=8))


def test_residual_bounds_are_the_own_scales() -> None:
    plain = conv()
    node = plain.nodes[0]
    tensors = {**plain.tensors, "r": Tensor("r", (1, 4, 3, 5), Q)}
    attributes = {**node.attributes, "lo": -255, "hi": 0, "add": AddAttributes(1.0, 1.0, LO, HI)}
    fused = replace(node, inputs=("x", "r"), attributes=attributes)
    verify(plain.with_(nodes=(fused,), tensors=tensors, inputs=("x", "r")))
    wide = replace(fused, attributes={**attributes, "hi": 255})
    with pytest.raises(VerifyError, match="bounds -255..255 are wider than 8 bits"):
        verify(plain.with_(nodes=(wide,), tensors=tensors, inputs=("x", "r")))


@pytest.mark.parametrize(
    ("qparams", "message"),
    [
        (QParams(0.0), "expected a positive finite scale"),
        (QParams(float("inf")), "expected a positive finite scale"),
        (QParams(1.0, 128), "zero point 128 is not of 8 bits"),
        (None, "expected a positive finite scale, got None"),
    ],
)
def test_refuses_unusable_quantisation(qparams: QParams | None, message: str) -> None:
    good = pool()
    tensors = {**good.tensors, "y": Tensor("y", (1, 3, 3, 3), qparams)}
    with pytest.raises(VerifyError, match=message):
        verify(good.with_(tensors=tensors))
