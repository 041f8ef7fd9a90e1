# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from systolith.compiler.ir import Graph
from systolith.compiler.passes.fuse_pad import fuse_pad
from tests.support.float_models import ModelBuilder, assert_same_result, read


def padded(b: ModelBuilder, *pads: int, value: float = 0.0, **attributes: Any) -> str:
    return b.add("Pad", "input", b.constant(pads, np.int64), b.constant(value), **attributes)


def fused(b: ModelBuilder, *outputs: str) -> Graph:
    before = read(b, *outputs)
    after = fuse_pad(before)
    assert_same_result(before, after)
    return after


def test_into_a_convolution() -> None:
    b = ModelBuilder((1, 3, 6, 5))
    after = fused(b, b.conv(padded(b, 0, 0, 1, 2, 0, 0, 3, 0), 4, 3, 3, 3, pads=[0, 1, 1, 0]))
    (node,) = after.nodes
    assert (node.attributes["pads"], node.origin) == ((1, 3, 4, 0), ("Pad", "Conv"))


@pytest.mark.parametrize(
    ("window", "taken"), [({}, True), ({"pads": [1] * 4, "count_include_pad": 1}, True), ({"pads": [1] * 4}, False)]
)
def test_into_an_average(window: dict[str, Any], taken: bool) -> None:
    b = ModelBuilder((1, 3, 6, 5))
    after = fused(b, b.add("AveragePool", padded(b, 0, 0, 1, 1, 0, 0, 1, 1), kernel_shape=[3, 3], **window))
    assert [node.op for node in after.nodes] == (["AveragePool"] if taken else ["Pad", "AveragePool"])


@pytest.mark.parametrize("why", ["value", "mode", "channels", "maximum", "reader"])
def test_where_it_does_not_apply(why: str) -> None:
    b = ModelBuilder((1, 3, 6, 5))
    ahead = 1 if why == "channels" else 0
    mode = {"mode": "edge"} if why == "mode" else {}
    x = padded(b, 0, ahead, 1, 1, 0, 0, 1, 1, value=0.5 if why == "value" else 0.0, **mode)
    out = b.add("MaxPool", x, kernel_shape=[2, 2]) if why == "maximum" else b.conv(x, 4, 3 + ahead, 3, 3)
    before = read(b, out, *([x] if why == "reader" else []))
    assert fuse_pad(before) == before
