# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.borders import (
    HostStep,
    dequantise,
    engine_inputs,
    from_engine,
    network_outputs,
    network_type,
    quantise,
    run_host_tail,
    to_engine,
)
from systolith.compiler.ir import Graph, Node, QParams, Tensor

SIGNED = QParams(0.5, 3)
UNSIGNED = QParams(0.5, 3 - 128, unsigned=True)


@pytest.mark.parametrize(
    ("qparams", "expected"), [(SIGNED, "int8"), (UNSIGNED, "uint8"), (QParams(1.0, 0, 16, True), "uint16")]
)
def test_network_type(qparams: QParams, expected: str) -> None:
    assert network_type(qparams) == np.dtype(expected)


def test_quantise_rounds_ties_to_even_and_saturates() -> None:
    values = np.array([0.25, 0.75, -0.25, -0.75, 1e9, -np.inf, 0.0])
    assert quantise(values, SIGNED).tolist() == [3, 5, 3, 1, 127, -128, 3]


def test_quantise_divides_in_float32_as_onnx_does() -> None:
    # in double precision the quotient is above the tie, in float32 on it
    scale = float(np.float32(0.1))
    assert quantise(np.array([np.float32(0.25)]), QParams(scale)).tolist() == [2]


def test_dequantise_is_the_inverse_on_the_grid() -> None:
    codes = np.arange(-128, 128)
    assert dequantise(codes, SIGNED).dtype == np.float32
    assert np.array_equal(quantise(dequantise(codes, SIGNED), SIGNED), codes)


@pytest.mark.parametrize("qparams", [SIGNED, UNSIGNED])
def test_integers_of_the_network(qparams: QParams) -> None:
    limits = np.iinfo(network_type(qparams))
    values = np.array([limits.min, limits.max], dtype=network_type(qparams))
    codes = to_engine(values, qparams, integer=True)
    assert codes.tolist() == [-128, 127]
    back = from_engine(codes, qparams, integer=True)
    assert back.dtype == values.dtype
    assert np.array_equal(back, values)


def test_wrong_values_are_refused() -> None:
    with pytest.raises(ValueError, match="input values must be numbers, got 1 NaN"):
        quantise(np.array([1.0, np.nan]), SIGNED)
    with pytest.raises(ValueError, match="input values must be uint8, got int64 outside that range"):
        to_engine(np.array([-1]), UNSIGNED, integer=True)
    with pytest.raises(ValueError, match="input values must be int8, got float32"):
        to_engine(np.array([1], dtype=np.float32), SIGNED, integer=True)


@pytest.mark.parametrize(
    "step",
    [
        HostStep("Softmax"),
        HostStep("Softmax", axis=3),
        HostStep("LogSoftmax"),
        HostStep("LogSoftmax", axis=2),
        HostStep("ArgMax", axis=2, keepdims=False),
        HostStep("ArgMax", select_last_index=True),
        HostStep("QuantizeLinear", QParams(1 / 256, -128)),
        HostStep("DequantizeLinear", QParams(0.1, -3, 16, True)),
    ],
)
def test_steps_are_read_back_from_their_text(step: HostStep) -> None:
    assert HostStep.parse(step.text) == step


def test_the_text_shows_the_networks_own_zero_point() -> None:
    expected = "QuantizeLinear(scale=0.5, zero_point=3, dtype=uint8)"
    assert HostStep("QuantizeLinear", UNSIGNED).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "ReLU",
        "ArgMax",
        "QuantizeLinear",
        "Softmax(axis=-1)",
        "QuantizeLinear(scale=1)",
        "Cast(scale=1.0, zero_point=0, dtype=int8)",
    ],
)
def test_other_steps_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host step must be Softmax, LogSoftmax, ArgMax"):
        HostStep.parse(text)


def test_a_host_tail() -> None:
    steps = ["Softmax", "QuantizeLinear(scale=0.00390625, zero_point=0, dtype=uint8)"]
    real = run_host_tail(steps[:1], np.array([[1000.0, 1000.0], [0.0, np.log(3)]]))
    assert np.allclose(real, [[0.5, 0.5], [0.25, 0.75]])
    codes = run_host_tail(steps, np.array([[0.0, np.log(3)]]))
    assert codes.dtype == np.uint8
    assert codes.tolist() == [[64, 192]]
    whole = [*steps, "DequantizeLinear(scale=0.00390625, zero_point=0, dtype=uint8)"]
    assert run_host_tail(whole, np.array([[0.0, np.log(3)]])).tolist() == [[0.25, 0.75]]


def test_a_graphs_borders() -> None:
    tensors = {"x": Tensor("x", (1, 2), UNSIGNED), "f": Tensor("f", (1, 2), SIGNED), "y": Tensor("y", (1, 2), SIGNED)}
    graph = Graph("g", ("x", "f"), ("y",), (), tensors, integer_io=frozenset({"x"}))
    feeds = {"x": np.array([[0, 255]], dtype=np.uint8), "f": np.array([[0.5, -1.0]])}
    assert {name: codes.tolist() for name, codes in engine_inputs(graph, feeds).items()} == {
        "x": [[-128, 127]],
        "f": [[4, 1]],
    }
    assert network_outputs(graph, {"y": np.array([[3, 5]])})["y"].tolist() == [[0.0, 1.0]]
    integer = graph.with_(integer_io=frozenset({"y"}))
    assert network_outputs(integer, {"y": np.array([[3, 5]])})["y"].dtype == np.int8
    tail = integer.with_(host_tail={"y": ("Softmax", "QuantizeLinear(scale=0.5, zero_point=0, dtype=int8)")})
    assert network_outputs(tail, {"y": np.array([[3, 127]])})["y"].tolist() == [[0, 2]]


def test_a_tail_for_each_output() -> None:
    tensors = {name: Tensor(name, (1, 2), SIGNED) for name in "xabc"}
    tails = {"a": ("Softmax",), "c": ("ArgMax(axis=1, keepdims=0, select_last_index=0)",)}
    graph = Graph("g", ("x",), ("a", "b", "c"), (), tensors, host_tail=tails, integer_io=frozenset({"b", "c"}))
    codes = np.array([[3, 5]])
    outputs = network_outputs(graph, dict.fromkeys("abc", codes))
    assert outputs["a"].sum() == pytest.approx(1)
    assert outputs["b"].tolist() == [[3, 5]]
    assert outputs["c"].tolist() == [1]
    assert outputs["c"].dtype == np.int64


@pytest.mark.parametrize(
    ("keepdims", "last", "expected"),
    [(True, False, [[[1, 0]]]), (False, False, [[1, 0]]), (True, True, [[[2, 2]]]), (False, True, [[2, 2]])],
)
def test_argmax_with_equal_maxima(keepdims: bool, last: bool, expected: list[object]) -> None:
    step = HostStep("ArgMax", keepdims=keepdims, select_last_index=last)
    assert step.run(np.array([[[0, 4], [7, 1], [7, 4]]], np.float32)).tolist() == expected


def test_a_step_of_a_node() -> None:
    node = Node("ArgMax", "a", ("x",), ("y",), {"axis": 2, "keepdims": False, "select_last_index": True})
    assert HostStep.of(node) == HostStep("ArgMax", axis=2, keepdims=False, select_last_index=True)
    assert HostStep.of(Node("Softmax", "s", ("x",), ("y",), {"axis": 1})) == HostStep("Softmax")


def test_a_softmax_over_rows() -> None:
    rows = HostStep("Softmax", axis=3).run(np.zeros((1, 2, 3, 4), np.float32))
    assert np.allclose(rows, 0.25)


def test_a_quantiser_without_a_scale_is_a_defect() -> None:
    with pytest.raises(ValueError, match="host step QuantizeLinear needs a scale and a zero point"):
        HostStep("QuantizeLinear").run(np.zeros(1))


def test_a_float_level_graph_is_refused() -> None:
    graph = Graph("g", ("x",), ("x",), (), {"x": Tensor("x", (1, 2))})
    with pytest.raises(ValueError, match="tensor 'x' has no quantisation: not an integer-level graph"):
        engine_inputs(graph, {"x": np.zeros((1, 2))})


def test_log_softmax_is_the_logarithm_and_does_not_underflow() -> None:
    values = np.array([[1.0, 2.0, 500.0]], np.float32)
    result = HostStep("LogSoftmax").run(values)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [[-499, -498, 0]])
