# SPDX-License-Identifier: Apache-2.0
"""The activation memory that networks take stays within 5 % of what their schedule needs at least."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from systolith.compiler.allocate import Placement, allocate
from systolith.compiler.choose import choose_layouts
from systolith.compiler.homes import find_homes
from systolith.compiler.ir import Graph
from systolith.compiler.pipeline import import_network, quantise_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.verify import is_integer_level
from systolith.spec.arch import PRESETS
from tests.support.float_models import ModelBuilder, random_feeds

ARRAYS = ("4x4", "8x8", "16x16", "32x32")
MOST = 1.05
ZOO = Path(os.environ.get("SYSTOLITH_ZOO", ""))


def quantised(file: Path) -> Graph:
    graph = import_network(file)
    data = None if is_integer_level(graph) else random_feeds(graph, 2)
    return quantise_network(graph, data, QuantiseConfig())


def placed(graph: Graph, array: str) -> Placement:
    arch = PRESETS[array]
    return allocate(graph, find_homes(graph, choose_layouts(graph, arch), arch), arch)


def unet(folder: Path) -> Path:
    """Three levels with skips, each to a Concat with what a transposed convolution makes."""
    b = ModelBuilder((1, 3, 24, 24))

    def block(x: str, inputs: int, outputs: int) -> str:
        return b.add("Relu", b.conv(x, outputs, inputs, 3, 3, pads=[1] * 4))

    def half(x: str) -> str:
        return b.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def joined(skip: str, x: str, inputs: int, outputs: int) -> str:
        grown = b.add("ConvTranspose", x, b.weights(inputs, outputs, 2, 2), strides=[2, 2])
        return b.add("Concat", skip, grown, axis=1)

    first = block("input", 3, 16)
    second = block(half(first), 16, 32)
    x = block(joined(second, block(half(second), 32, 64), 64, 32), 64, 32)
    x = block(joined(first, x, 32, 16), 32, 16)
    return b.save(folder / "unet.onnx", b.conv(x, 1, 16, 1, 1))


@pytest.mark.parametrize("array", ARRAYS)
def test_a_network_with_skips(array: str, tmp_path: Path) -> None:
    placement = placed(quantised(unet(tmp_path)), array)
    assert placement.bound <= placement.peak <= MOST * placement.bound


def test_the_bound_is_the_most_that_is_alive(tmp_path: Path) -> None:
    graph = quantised(unet(tmp_path))
    # the first skip has a scale of its own, so it is copied; the phases beside it grow in the Concat's memory
    assert placed(graph, "16x16").bound == 24 * 24 * (16 + 32) + 12 * 12 * 32


@pytest.mark.zoo
@pytest.mark.skipif("SYSTOLITH_ZOO" not in os.environ, reason="SYSTOLITH_ZOO names no folder of networks")
@pytest.mark.parametrize("file", sorted([*ZOO.glob("float/*.onnx"), *ZOO.glob("int8*/*.onnx")]), ids=str)
def test_the_zoo(file: Path) -> None:
    graph = quantised(file)
    for array in ARRAYS:
        placement = placed(graph, array)
        assert placement.bound <= placement.peak <= MOST * placement.bound, array
