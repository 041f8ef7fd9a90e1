# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from systolith.compiler.borders import engine_inputs
from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.frontend.load import load_model
from systolith.compiler.interp_int import run_integer
from tests.support.qdq_models import QdqModel, check, feeds_of, import_model, on_engine

SEED = 61


def operands(m: QdqModel, zero: int, other: int | None = None) -> tuple[str, str]:
    """(1, 6, 5) and (1, 5, 7), quantised."""
    return m.start(1, 6, 5, zero=zero), m.start(1, 5, 7, zero=zero if other is None else other)


@pytest.mark.parametrize(("dtype", "zero"), [(np.int8, 0), (np.uint8, 128)])
def test_products_of_two_tensors(dtype: type, zero: int) -> None:
    m = QdqModel(SEED, dtype=dtype)
    y = m.real(m.node("MatMul", *operands(m, zero)), 0.3, 4)
    model = m.model(y)
    graph = import_model(model)
    (node,) = graph.nodes
    assert (node.op, node.origin, node.attributes.get("transposed", False)) == ("QMatMul", ("MatMul",), False)
    check(model)
    on_engine(model)


def test_transposed_operands_and_a_relu_behind() -> None:
    """The Transpose of the first operand is part of the product, that of the second a layer."""
    m = QdqModel(SEED)
    x, z = m.start(1, 5, 6, zero=0), m.start(1, 7, 5, zero=0)
    left, right = (m.node("Transpose", name, perm=[0, 2, 1]) for name in (x, z))
    y = m.real(m.node("Relu", m.node("MatMul", left, right)), 0.2, -128)
    model = m.model(y)
    graph = import_model(model)
    assert Counter(node.op for node in graph.nodes) == {"QMatMul": 1, "QTranspose": 1}
    check(model)
    on_engine(model)


def test_a_gram_matrix_and_a_transposed_result() -> None:
    m = QdqModel(SEED)
    x = m.start(1, 6, 5, zero=0)
    y = m.quantise(m.node("MatMul", x, m.node("Transpose", x, perm=[0, 2, 1])), 0.4, 0)
    model = m.model(m.node("Transpose", m.dequantise(y), perm=[0, 2, 1]))
    check(model)
    on_engine(model)


@pytest.mark.parametrize(("zero", "other", "told"), [(0, 3, "x1"), (-7, 0, "x0")])
def test_other_zero_points_are_refused(zero: int, other: int, told: str) -> None:
    m = QdqModel(SEED)
    model = m.model(m.real(m.node("MatMul", *operands(m, zero, other)), 0.3, 0))
    with pytest.raises(UnsupportedModel, match=rf"'{told}' has the zero point {zero or other}; .* 128 .*symmetr"):
        import_model(model)


def test_batches_of_matrices_are_refused() -> None:
    m = QdqModel(SEED)
    x, z = m.start(1, 2, 6, 5, zero=0), m.start(1, 2, 5, 7, zero=0)
    with pytest.raises(UnsupportedModel, match=r"shapes \[1, 2, 6, 5\] and \[1, 2, 5, 7\]; accepted: \(1, M, K\)"):
        import_model(m.model(m.real(m.node("MatMul", x, z), 0.3, 0)))


@pytest.mark.parametrize(("dtype", "zero"), [(np.int8, 0), (np.uint8, 128)])
def test_qlinear_products_of_two_tensors(dtype: type, zero: int, tmp_path: Path) -> None:
    m = QdqModel(SEED, dtype=dtype)
    left, right = (m.quantise(m.input(*shape), 0.05, zero) for shape in ((1, 6, 5), (1, 5, 7)))
    result = [m.constant(np.float32(0.3)), m.constant(np.array(zero, dtype))]
    codes = m.node("QLinearMatMul", left, *m.params[left], right, *m.params[right], *result)
    model = m.model(m.node("DequantizeLinear", codes, *result))
    onnx.save(model, str(tmp_path / "net.onnx"))
    graph = load_model(tmp_path / "net.onnx")
    assert [node.op for node in graph.nodes] == ["QMatMul"]
    feeds = feeds_of(model)
    got = run_integer(graph, engine_inputs(graph, feeds))[graph.outputs[0]]
    exact = np.matmul(*(np.clip(np.rint(feeds[name] / np.float32(0.05)), -128, 127) for name in graph.inputs)) * 0.0025
    assert np.abs(got - np.clip(np.rint(exact / 0.3), -128, 127)).max() <= 1
