# SPDX-License-Identifier: Apache-2.0
"""Channels and pixels exchanged: against the definition, and how it is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.errors import CapacityError, UnsupportedModel
from systolith.compiler.exchange import selection
from systolith.compiler.ir import Graph, Node, QParams, Tensor
from systolith.compiler.lower import lower
from systolith.compiler.model import predict
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import decode_program
from systolith.spec.link import Counter, Space
from systolith.testbench.isa_model import IsaModel
from tests.compiler.test_matmul import ARCHS, product
from tests.support.random_graphs import random_feeds

SIZES = [(1, (1, 1)), (3, (1, 2)), (5, (3, 4)), (20, (1, 7)), (7, (4, 5)), (17, (1, 33))]


def exchange(channels: int, size: tuple[int, int]) -> Graph:
    pixels, params = size[0] * size[1], QParams(0.1, 7)
    tensors = {
        "x": Tensor("x", (1, channels, *size), params),
        "y": Tensor("y", (1, pixels, 1, channels), params),
    }
    return Graph("g", ("x",), ("y",), (Node("QTranspose", "turn", ("x",), ("y",), {}, ("Transpose",)),), tensors)


@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
@pytest.mark.parametrize(("channels", "size"), SIZES)
def test_every_element_finds_its_place(arch: Arch, channels: int, size: tuple[int, int]) -> None:
    graph = exchange(channels, size)
    feeds = random_feeds(graph, channels)
    got = IsaModel(lower(graph, arch)).run(feeds)["y"]
    np.testing.assert_array_equal(got[0, :, 0, :], feeds["x"][0].reshape(channels, -1).T)


def test_a_pass_for_each_pixel() -> None:
    """64 pixels of 64 channels: 64 passes of 64 windows, 1 a cycle."""
    program = lower(exchange(64, (1, 64)), PRESETS["8x8"])
    assert predict(program).total[Counter.ACTIVE] == 64 * 64
    # ones take two bits each
    assert len(program.segments[Space.WEIGHTS]) * 4 == 64 * 8 * 8 // 4


def test_tiles_of_weights_begin_with_a_line() -> None:
    arch = PRESETS["8x8"].with_(acc_depth=9)
    program = lower(product(20, (1, 3), (1, 12), 12, transposed=True), arch)
    made = decode_program(program.segments[Space.PROGRAM], arch)
    assert [one.loops[0].count for one in made if one.to_weights] == [8, 8, 4]
    assert all(one.out.base % arch.weight_rows == 0 for one in made if one.to_weights)


def test_the_weights_select_a_pixel_each() -> None:
    weights = selection(10, PRESETS["8x8"])
    assert weights.shape == (16, 8, 8)
    assert weights.sum() == 10
    assert [int(part[0].argmax()) for part in weights[:10]] == [*range(8), 0, 1]


def test_engines_that_read_no_single_elements_are_refused() -> None:
    arch = PRESETS["8x8"].with_(act_granule=2)
    with pytest.raises(UnsupportedModel, match=r"'turn' \(Transpose\): it exchanges .* reads 2 elements at once"):
        lower(exchange(4, (1, 4)), arch)


def test_more_than_the_loops_count_is_refused() -> None:
    with pytest.raises(
        CapacityError, match=r"'x' of 1 x 200 pixels is not one line that the loops of arch '8x8' count"
    ):
        lower(exchange(4, (1, 200)), replace(PRESETS["8x8"], dim_bits=4))
