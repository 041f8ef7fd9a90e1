# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from systolith.compiler.elementwise import BINARY, ELEMENTWISE_ATTRIBUTES, UNARY, evaluate
from systolith.compiler.interp import run_float
from systolith.compiler.ir import Node
from tests.support.float_models import ModelBuilder, read, run_onnxruntime

_DOMAINS = {
    "Acos": (-1, 1),
    "Acosh": (1, 9),
    "Asin": (-1, 1),
    "Atanh": (-0.99, 0.99),
    "Log": (0.01, 9),
    "Reciprocal": (0.1, 9),
    "Sqrt": (0, 9),
    "Tan": (-1.5, 1.5),
}
"""Where the real function is defined; -9..9 for all others."""


def newest(op: str) -> int:
    """The operator set to test with: 17, or the one that brought the operator."""
    return max(17, int(onnx.defs.get_schema(op).since_version) if op in ("Gelu", "Mish", "Swish") else 0)


def samples(op: str) -> NDArray[np.float32]:
    """An even grid over the function's domain with both zeros and the bounds of its pieces."""
    low, high = _DOMAINS.get(op, (-9, 9))
    grid = np.concatenate([np.linspace(low, high, 301), np.clip([0.0, -0.0, 0.5, -0.5, 1.0, 2.5, -3.0], low, high)])
    return grid.astype(np.float32).reshape(1, -1)


def reference(builder: ModelBuilder, out: str, x: NDArray[Any]) -> NDArray[Any]:
    """What onnxruntime gives; the onnx package's evaluator for operators newer than any accepted onnxruntime."""
    model = builder.model(out)
    if builder.opset > 21:
        results: Any = ReferenceEvaluator(model).run(None, {"input": x})
        return np.asarray(results[0])
    return np.asarray(run_onnxruntime(model, {"input": x})[0])


def check(op: str, **attributes: Any) -> None:
    x = samples(op)
    builder = ModelBuilder(x.shape, opset=newest(op))
    out = builder.add(op, "input", **attributes)
    graph = read(builder, out)
    got = run_float(graph, {"input": x})[out]
    assert got.dtype == np.float32
    expected = reference(builder, out, x)
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-6 * np.abs(expected).max())
    exact = run_float(graph, {"input": x}, dtype=np.float64)[out]
    assert exact.dtype == np.float64
    np.testing.assert_allclose(exact, got, rtol=2e-5, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("op", UNARY)
def test_equals_onnxruntime(op: str) -> None:
    check(op)


@pytest.mark.parametrize("op", [op for op, unary in UNARY.items() if unary.defaults and op != "Gelu"])
def test_equals_onnxruntime_with_attributes(op: str) -> None:
    check(op, **{name: 0.37 + index for index, name in enumerate(UNARY[op].defaults)})


def test_gelu_by_tanh() -> None:
    check("Gelu", approximate="tanh")


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("shape", [(), (1,), (3, 1, 1), (1, 3, 2, 2), (2, 1)])
def test_two_operands_broadcast(op: str, shape: tuple[int, ...]) -> None:
    builder = ModelBuilder((1, 3, 2, 2))
    out = builder.add(op, "input", builder.constant(builder.rng.uniform(0.5, 3, shape)))
    x = builder.rng.uniform(0.1 if op == "Pow" else -3, 3, (2, 3, 2, 2)).astype(np.float32)
    got = run_float(read(builder, out), {"input": x})[out]
    np.testing.assert_allclose(got, run_onnxruntime(builder.model(out), {"input": x})[0], rtol=1e-6, atol=1e-6)


def test_integer_exponents() -> None:
    builder = ModelBuilder((1, 4))
    out = builder.add("Pow", "input", builder.constant(3, np.int64))
    x = np.array([[-2.0, -0.5, 0.0, 3.0]], np.float32)
    got = run_float(read(builder, out), {"input": x})[out]
    assert got.dtype == np.float32
    assert got.tolist() == [[-8.0, -0.125, 0.0, 27.0]]


def test_values_outside_the_reals_do_not_warn() -> None:
    x = np.array([-1.0, 0.0])
    assert np.isnan(evaluate(Node("Log", "n", ("x",), ("y",)), [x])[0])
    assert np.isinf(evaluate(Node("Reciprocal", "n", ("x",), ("y",)), [x])[1])
    assert np.isnan(evaluate(Node("Div", "n", ("x", "z"), ("y",)), [x, x * 0])[1])


def test_far_arguments_stay_finite() -> None:
    x = np.array([-1e4, 1e4], np.float32)
    got = {op: evaluate(Node(op, "n", ("x",), ("y",), dict(UNARY[op].defaults)), [x]) for op in ("Sigmoid", "Softplus")}
    assert got["Sigmoid"].tolist() == [0.0, 1.0]
    assert got["Softplus"].tolist() == [0.0, 1e4]
    for op in ("Elu", "Selu", "Celu", "Mish", "Swish", "Gelu", "Softsign"):
        assert np.isfinite(evaluate(Node(op, "n", ("x",), ("y",), dict(UNARY[op].defaults)), [x])).all()


def test_a_chain_runs_its_steps_in_order() -> None:
    steps = (
        Node("Sigmoid", "s", ("x",), ("a",)),
        Node("Mul", "m", ("x", "a"), ("b",), {"lower": -0.1}),
        Node("Add", "c", ("b", "k"), ("d",)),
        Node("Clip", "e", ("d",), ("f",), {"min": -1.0, "max": 2.0}),
        Node("Relu", "r", ("f",), ("g",)),
    )
    chain = Node("Elementwise", "n", ("x", "k"), ("y",), {"steps": steps})
    x = np.linspace(-4, 4, 9)
    silu = np.maximum(x / (1 + np.exp(-x)), -0.1)
    np.testing.assert_allclose(evaluate(chain, [x, np.array(-0.5)]), np.clip(silu - 0.5, 0, 2), rtol=1e-12)


def test_the_defaults_are_those_of_onnx() -> None:
    for op, unary in UNARY.items():
        known = onnx.defs.get_schema(op).attributes
        given = {name: onnx.helper.get_attribute_value(known[name].default_value) for name in known}
        text = {name: value.decode() if isinstance(value, bytes) else value for name, value in given.items()}
        assert dict(unary.defaults) == pytest.approx(text, rel=1e-6) if op != "Gelu" else unary.defaults == text
        assert ELEMENTWISE_ATTRIBUTES[op] == frozenset(known)
