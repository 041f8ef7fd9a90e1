# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.float_ops import softmax
from systolith.compiler.interp import run_float
from systolith.compiler.passes.split_tail import split_tail
from tests.support.float_models import ModelBuilder, random_feeds, read


def test_final_softmax_goes_to_the_host() -> None:
    builder = ModelBuilder((1, 3))
    logits = builder.add("Relu", "input")
    before = read(builder, builder.add("Softmax", logits))
    after = split_tail(before)
    assert (after.outputs, after.host_tail) == ((logits,), ("Softmax",))
    assert [node.op for node in after.nodes] == ["Relu"]
    feeds = random_feeds(before, 2)
    expected = run_float(before, feeds)[before.outputs[0]]
    assert (softmax(run_float(after, feeds)[logits], 1) == expected).all()


def test_graph_without_softmax_stays() -> None:
    builder = ModelBuilder((1, 3))
    before = read(builder, builder.add("Relu", "input"))
    assert split_tail(before) == before


def test_refuses_a_softmax_in_the_middle() -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("Relu", builder.add("Softmax", builder.add("Relu", "input"), name="s"))
    with pytest.raises(UnsupportedModel, match=r"node 's' \(Softmax\): it is not the network's last operator"):
        split_tail(read(builder, out))


def test_refuses_a_softmax_beside_another_output() -> None:
    builder = ModelBuilder((1, 3))
    logits = builder.add("Relu", "input")
    with pytest.raises(UnsupportedModel, match="and only output"):
        split_tail(read(builder, builder.add("Softmax", logits), logits))


def test_refuses_a_softmax_over_an_image() -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    out = builder.add("Softmax", builder.add("Relu", "input"), axis=1)
    with pytest.raises(UnsupportedModel, match=r"it runs over axis 1 of \[1, 3, 2, 2\]; accepted: a final Softmax"):
        split_tail(read(builder, out))


def test_refuses_a_bare_softmax() -> None:
    builder = ModelBuilder((1, 3))
    with pytest.raises(UnsupportedModel, match="there is nothing before it"):
        split_tail(read(builder, builder.add("Softmax", "input")))
