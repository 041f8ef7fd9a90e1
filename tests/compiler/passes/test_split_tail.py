# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.borders import run_host_tail
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.interp import run_float
from systolith.compiler.ir import Graph, Node, Tensor
from systolith.compiler.passes.prepare import prepare_float
from systolith.compiler.passes.split_tail import split_tail
from systolith.compiler.verify import verify
from tests.support.float_models import ModelBuilder, random_feeds, read

ARGMAX = "ArgMax(axis=1, keepdims=0, select_last_index=0)"


def assert_equal_results(before: Graph, after: Graph) -> None:
    """The host's steps after the new outputs give the old ones."""
    feeds = random_feeds(before, 2)
    expected, got = run_float(before, feeds), run_float(after, feeds)
    for old, new in zip(before.outputs, after.outputs, strict=True):
        result = run_host_tail(after.host_tail.get(new, ()), got[new])
        np.testing.assert_allclose(result, expected[old], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_final_softmax_goes_to_the_host(op: str) -> None:
    builder = ModelBuilder((1, 3))
    logits = builder.add("Relu", "input")
    before = read(builder, builder.add(op, logits))
    after = split_tail(before)
    assert (after.outputs, after.host_tail) == ((logits,), {logits: (op,)})
    assert [node.op for node in after.nodes] == ["Relu"]
    assert_equal_results(before, after)


def test_graph_without_softmax_stays() -> None:
    builder = ModelBuilder((1, 3))
    before = read(builder, builder.add("Relu", "input"))
    assert split_tail(before) is before


def test_outputs_of_one_layer_are_told_apart() -> None:
    builder = ModelBuilder((1, 3, 2, 4))
    logits = builder.conv("input", 5, 3, 1, 1)
    tails = [builder.add("Softmax", logits, axis=axis, name=f"s{axis}") for axis in (1, 3)]
    other = builder.add("Relu", logits)
    before = read(builder, *tails, logits, other)
    after = split_tail(before)
    assert after.outputs == (*tails, logits, other)
    assert after.host_tail == {tails[0]: ("Softmax",), tails[1]: ("Softmax(axis=3)",)}
    assert_equal_results(before, after)
    prepared = prepare_float(before)
    verify(prepared)
    assert prepared.outputs == after.outputs
    assert_equal_results(before, prepared)


def argmax(*outputs: str, softmax: bool = True) -> Graph:
    """``Relu -> (Softmax ->) ArgMax``."""
    tensors = {name: Tensor(name, (1, 3)) for name in ("x", "l", "p")} | {"i": Tensor("i", (1,))}
    nodes = [
        Node("Relu", "relu", ("x",), ("l",)),
        Node("Softmax", "soft", ("l",), ("p",), {"axis": 1}),
        Node(
            "ArgMax",
            "arg",
            ("p" if softmax else "l",),
            ("i",),
            {"axis": 1, "keepdims": False, "select_last_index": False},
        ),
    ]
    if not softmax:
        del nodes[1]
    return Graph("g", ("x",), outputs, tuple(nodes), tensors, integer_io=frozenset({"i"} & {*outputs}))


def test_an_argmax_goes_to_the_host_with_what_is_before_it() -> None:
    after = split_tail(argmax("i"))
    assert (after.outputs, after.host_tail) == (("l",), {"l": ("Softmax", ARGMAX)})
    assert after.integer_io == frozenset()
    assert [node.op for node in after.nodes] == ["Relu"]
    assert split_tail(argmax("i", softmax=False)).host_tail == {"l": (ARGMAX,)}


@pytest.mark.parametrize("outputs", [("p", "i"), ("i", "p"), ("l", "i", "p")])
def test_a_tail_within_a_tail(outputs: tuple[str, ...]) -> None:
    after = split_tail(argmax(*outputs))
    tails = [after.host_tail.get(name, ()) for name in after.outputs]
    expected = {"l": (), "p": ("Softmax",), "i": ("Softmax", ARGMAX)}
    assert tails == [expected[name] for name in outputs]
    assert len(set(after.outputs)) == len(outputs)
    assert [node.op for node in after.nodes].count("Reshape") == len(outputs) - 1
    verify(after)


def test_refuses_a_softmax_in_the_middle() -> None:
    builder = ModelBuilder((1, 3))
    out = builder.add("Relu", builder.add("Softmax", builder.add("Relu", "input"), name="s"))
    with pytest.raises(UnsupportedModel, match=r"node 's' \(Softmax\): it is not one of the network's last operators"):
        split_tail(read(builder, out))


def test_refuses_an_output_that_is_also_read_inside() -> None:
    builder = ModelBuilder((1, 3))
    soft = builder.add("Softmax", builder.add("Relu", "input"), name="s")
    with pytest.raises(UnsupportedModel, match="it is not one of the network's last operators"):
        split_tail(read(builder, soft, builder.add("Relu", soft)))


def test_refuses_a_bare_softmax() -> None:
    builder = ModelBuilder((1, 3))
    with pytest.raises(UnsupportedModel, match="there is nothing before it"):
        split_tail(read(builder, builder.add("Softmax", "input")))
