# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np

from systolith.compiler.interp import run_float
from systolith.compiler.interp_movement import SHAPED_RULES
from systolith.compiler.ir import Graph, Node, Tensor
from systolith.compiler.verify import verify

RESIZE: dict[str, Any] = {
    "mode": "nearest",
    "coordinate": "asymmetric",
    "nearest": "floor",
    "roi": (),
    "cubic_coeff_a": -0.75,
    "exclude_outside": False,
    "antialias": False,
    "extrapolation_value": 0.0,
}
X = np.arange(18.0).reshape(3, 2, 3)
"""Three samples for a graph of batch 1."""


def run(op: str, result: tuple[int, ...], **attributes: Any) -> list[Any]:
    tensors = {"x": Tensor("x", (1, 2, 3)), "y": Tensor("y", result)}
    graph = Graph("g", ("x",), ("y",), (Node(op, "n", ("x",), ("y",), attributes),), tensors)
    verify(graph)
    values: list[Any] = run_float(graph, {"x": X}, dtype=np.float64)["y"].tolist()
    return values


def test_slice_keeps_whole_axes_of_every_sample() -> None:
    assert run("Slice", (1, 2, 2), starts=(0, 0, 1), steps=(1, 1, 1)) == X[:, :, 1:].tolist()


def test_slice_backwards_over_a_whole_axis() -> None:
    assert run("Slice", (1, 2, 3), starts=(0, 0, 2), steps=(1, 1, -1)) == X[:, :, ::-1].tolist()


def test_resize_leaves_every_sample_alone() -> None:
    assert run("Resize", (1, 2, 6), scales=(1.0, 1.0, 2.0), **RESIZE) == X.repeat(2, 2).tolist()


def test_resize_of_the_same_size_may_still_move() -> None:
    """A scale of more than one may round to the same number of elements."""
    assert run("Resize", (1, 2, 3), scales=(1.0, 1.0, 1.3), **RESIZE) == X[:, :, [0, 0, 1]].tolist()


def test_crop_leaves_every_sample_alone() -> None:
    region = {**RESIZE, "coordinate": "tf_crop_and_resize", "roi": (0.0, 0.0, 0.5, 1.0, 1.0, 1.0)}
    assert run("Resize", (1, 2, 3), scales=(1.0, 1.0, 1.0), **region) == X[:, :, [1, 1, 2]].tolist()


def test_the_others() -> None:
    assert run("ArgMax", (1, 2), axis=2, keepdims=False, select_last_index=False) == [[2, 2]] * 3
    assert run("Concat", (1, 2, 3), axis=1) == X.tolist()
    pads = (0, 0, 0, 0, 0, 1)
    assert (
        run("Pad", (1, 2, 4), pads=pads, value=7.0, mode="constant")
        == np.pad(X, [(0, 0), (0, 0), (0, 1)], constant_values=7).tolist()
    )
    assert run("ReduceMean", (1, 1, 3), axes=(1,), keepdims=True) == X.mean(1, keepdims=True).tolist()
    assert run("Transpose", (1, 3, 2), perm=(0, 2, 1)) == X.swapaxes(1, 2).tolist()


def test_all_are_tried_here() -> None:
    assert set(SHAPED_RULES) == {"ArgMax", "Concat", "Pad", "ReduceMean", "Resize", "Slice", "Transpose"}
