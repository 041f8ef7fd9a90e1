# SPDX-License-Identifier: Apache-2.0
import logging

import numpy as np
import pytest

from systolith.compiler.interp import run_float
from systolith.compiler.passes.absorb_transposes import absorb_transposes
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, random_feeds, read

NCHW = [0, 3, 1, 2]


def test_the_input_takes_the_readers_order_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    builder = ModelBuilder((1, 5, 6, 3))
    left, right = (builder.conv(builder.add("Transpose", "input", perm=NCHW), 4, 3, 3, 3) for _ in range(2))
    before = read(builder, builder.add("Add", left, right))
    with caplog.at_level(logging.WARNING):
        after = absorb_transposes(before)
    verify(after)
    assert "input 'input': shape [1, 5, 6, 3] becomes [1, 3, 5, 6]" in caplog.text
    assert [node.op for node in after.nodes] == ["Conv", "Conv", "Add"]
    feeds = random_feeds(before, 2)
    expected = run_float(before, feeds)
    got = run_float(after, {"input": feeds["input"].transpose(NCHW)})
    np.testing.assert_array_equal(got[after.outputs[0]], expected[after.outputs[0]])


def test_other_readers_keep_the_order() -> None:
    builder = ModelBuilder((1, 5, 5, 5))
    turned = builder.add("Transpose", "input", perm=NCHW)
    other = builder.add("Transpose", "input", perm=[0, 2, 3, 1])
    for reader in ("input", other):
        graph = read(builder, builder.add("Add", builder.add("Relu", turned), reader))
        assert absorb_transposes(graph) is graph


def test_a_shape_that_stays_the_same_tells_nothing() -> None:
    builder = ModelBuilder((1, 5, 5, 5))
    graph = read(builder, builder.add("Relu", builder.add("Transpose", "input", perm=NCHW)))
    assert absorb_transposes(graph) is graph


def test_outputs_keep_their_transpose() -> None:
    builder = ModelBuilder((1, 5, 6, 3))
    graph = read(builder, builder.add("Transpose", "input", perm=NCHW))
    assert absorb_transposes(graph) is graph
