# SPDX-License-Identifier: Apache-2.0
"""How a case is judged, on cases made here; the package's own run in tests/conformance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from systolith.api import conformance as module
from systolith.api.conformance import Outcome, conformance, summary


@dataclass
class Case:
    name: str
    model: onnx.ModelProto
    data_sets: list[tuple[list[Any], list[Any]]]
    rtol: float = 1e-3
    atol: float = 1e-7


def case(
    op: str, inputs: list[Any], output: Any, kinds: tuple[int, ...] = (), result: int = TensorProto.FLOAT, **given: Any
) -> Case:
    """A case of one operator with an input for each of ``inputs``."""
    names = [f"x{index}" for index in range(len(inputs))]
    types = (*kinds, *[TensorProto.FLOAT] * len(inputs))
    values = [
        helper.make_tensor_value_info(name, kind, np.shape(x))
        for name, kind, x in zip(names, types, inputs, strict=False)
    ]
    results = [helper.make_tensor_value_info("y", result, np.shape(output))]
    graph = helper.make_graph([helper.make_node(op, names, ["y"], **given)], "g", values, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return Case(f"test_{op.lower()}", model, [(inputs, [output])])


def judged(monkeypatch: pytest.MonkeyPatch, *cases: Case) -> list[Outcome]:
    monkeypatch.setattr(module, "_node_cases", lambda: iter(cases))
    return conformance()


X = np.array([[-1.0, 2.0]], np.float32)


def test_right_results_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    (outcome,) = judged(monkeypatch, case("Relu", [X], np.maximum(X, 0)))
    assert outcome == Outcome("test_relu", ("Relu",), "passed")


def test_parameters_are_given_as_constants_and_weights_as_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = np.array([2], np.int64)
    flat = case("Reshape", [X, shape], X.reshape(2), (TensorProto.FLOAT, TensorProto.INT64))
    image, weight = np.ones((1, 1, 2, 2), np.float32), np.full((1, 1, 2, 2), 0.5, np.float32)
    product = case("Conv", [image, weight], np.full((1, 1, 1, 1), 2, np.float32))
    assert [one.verdict for one in judged(monkeypatch, flat, product)] == ["passed", "passed"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (np.array([[0.0, 2.01]], np.float32), "output 'y' differs"),
        (np.array([0.0, 2.0], np.float32), "output 'y' has shape [1, 2], expected [2]"),
    ],
)
def test_wrong_results_fail(monkeypatch: pytest.MonkeyPatch, wrong: Any, reason: str) -> None:
    broken = case("Relu", [X], np.maximum(X, 0))
    broken.data_sets = [([X], [wrong])]
    (outcome,) = judged(monkeypatch, broken)
    assert (outcome.verdict, outcome.reason) == ("failed", reason)


def test_integers_must_be_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    scale, zero = np.array(1e-3, np.float32), np.array(0, np.int16)
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT16)
    right = case("QuantizeLinear", [X * 10, scale, zero], np.array([[-10000, 20000]], np.int16), kinds, kinds[2])
    wrong = case("QuantizeLinear", [X * 10, scale, zero], np.array([[-10000, 20001]], np.int16), kinds, kinds[2])
    assert [one.verdict for one in judged(monkeypatch, right, wrong)] == ["passed", "failed"]


def test_refusals_keep_their_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = [X, np.array(2.0, np.float32), np.array(1.0, np.float32)]
    (outcome,) = judged(monkeypatch, case("Clip", bounds, np.ones_like(X)))
    assert outcome.verdict == "refused"
    assert "bounds 2..1; accepted: min below max" in outcome.reason
    sequence = case("Identity", [X], X)
    sequence.data_sets = [([[X]], [[X]])]
    (outcome,) = judged(monkeypatch, sequence)
    assert (outcome.verdict, outcome.reason) == ("refused", "sequences and optional values; accepted: tensors")


def test_what_is_not_claimed_stands_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.array([1, 2], np.int32)
    integers = case("Add", [whole, whole], whole * 2, (TensorProto.INT32,) * 2, TensorProto.INT32)
    training = case("Dropout", [X, np.float32(0.5), np.bool_(True)], X, (1, 1, TensorProto.BOOL))
    outcomes = judged(monkeypatch, integers, training, case("LSTM", [X], X))
    assert [(one.verdict, one.reason) for one in outcomes] == [
        ("outside", "arithmetic of integers"),
        ("outside", "training"),
    ]


def test_summary_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [
        Outcome("a", ("Add", "Relu"), "passed"),
        Outcome("b", ("Add",), "refused", "node 'n' (Add): why"),
        Outcome("c", ("Add",), "outside", "training"),
    ]
    figures = summary(outcomes)
    assert (figures["passed"], figures["refused"], figures["failed"], figures["outside"]) == (1, 1, 0, 1)
    assert figures["share"] == 0.5
    assert figures["operators"]["Add"] == {"passed": 1, "refused": 1, "failed": 0, "outside": 1}
    assert figures["operators"]["Relu"]["passed"] == 1
    assert figures["outcomes"][1]["reason"] == "node 'n' (Add): why"


def test_tensors_may_be_packed() -> None:
    packed = numpy_helper.from_array(X, "x")
    np.testing.assert_array_equal(module._array(packed), X)
