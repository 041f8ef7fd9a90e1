# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.raw import RawNode


def raw(**changes: Any) -> RawNode:
    given: dict[str, Any] = {
        "op": "Clip",
        "name": "n",
        "inputs": ("x", "", "high"),
        "outputs": ("y",),
        "attributes": {},
        "opset": 17,
        "shapes": {"x": (1, 3), "y": (1, 3)},
        "constants": {"high": np.array(6.0), "many": np.zeros(3)},
    }
    return RawNode(**{**given, **changes})


def test_operands() -> None:
    assert [raw().operand(index) for index in range(5)] == ["x", "", "high", "", ""]


def test_constants_and_scalars() -> None:
    assert raw().constant(1) is None
    assert raw().scalar(1) is None
    assert raw().scalar(2) == 6.0


def test_axes_count_from_the_front() -> None:
    assert raw().axes([-1, 0], 4) == (3, 0)


def test_refuses_a_computed_operand() -> None:
    with pytest.raises(UnsupportedModel, match=r"node 'n' \(Clip\): input 0 \('x'\) is computed by the network"):
        raw().constant(0)


def test_refuses_an_array_for_a_number() -> None:
    with pytest.raises(UnsupportedModel, match=r"input 1 has shape \[3\]; accepted: a single number"):
        raw(inputs=("x", "many")).scalar(1)


def test_refuses_a_used_extra_output() -> None:
    with pytest.raises(UnsupportedModel, match="its extra output 'mask' is used"):
        raw(outputs=("y", "mask")).node()


def test_batch_rules_hold_for_batched_nodes_only() -> None:
    raw().keep_batch(True, "it does")
    raw(batched=False).keep_batch(False, "it does")
    with pytest.raises(UnsupportedModel, match=r"node 'n' \(Clip\): it does; accepted: operators that leave the batch"):
        raw().keep_batch(False, "it does")


def test_broadcasting_must_not_align_the_batch_with_another_axis() -> None:
    shapes = {"x": (1, 3), "w": (1, 1, 3), "y": (1, 1, 3)}
    with pytest.raises(UnsupportedModel, match=r"it broadcasts 'x' of shape \[1, 3\] to rank 3"):
        raw(inputs=("x", "w"), shapes=shapes).keep_broadcast()
    raw(inputs=("x", "w"), shapes=shapes, parameters={"x"}).keep_broadcast()


def test_node_drops_unused_outputs_and_omitted_operands() -> None:
    node = raw(outputs=("y", "")).node({"min": 0}, op="Other")
    assert (node.op, node.inputs, node.outputs, node.origin) == ("Other", ("x", "high"), ("y",), ("Clip",))
