# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from tests.support.qdq_models import QdqModel, check, import_model, on_engine

SEED = 83
RISING = [0.25, 0.0, 1.3]
MIXED = [0.25, -0.7, 0.0]


def prelu(m: QdqModel, x: str, slope: list[float], rank: int = 4) -> str:
    return m.node("PRelu", x, m.constant(np.array(slope, np.float32).reshape(3, *(1,) * (rank - 2))))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize(
    ("slope", "made"), [(RISING, ["QConv", "QRequant", "QAdd"]), (MIXED, ["QRequant", "QConv", "QRequant", "QAdd"])]
)
@pytest.mark.parametrize("shape", [(1, 3, 6, 5), (1, 3, 9), (1, 3)])
def test_slopes_by_channel_round_once(shape: tuple[int, ...], slope: list[float], made: list[str], dtype: type) -> None:
    m = QdqModel(SEED, dtype=dtype)
    zero = 100 if dtype is np.uint8 else 3
    y = prelu(m, m.start(*shape, zero=zero), slope, len(shape))
    model = m.model(m.real(y, 0.0371, zero + 5))
    assert [node.op for node in check(model, judged=1, differing=0.01).nodes] == made
    on_engine(model)


@pytest.mark.parametrize("slope", [RISING, MIXED])
def test_limits_and_factors_behind_it(slope: list[float]) -> None:
    m = QdqModel(SEED)
    y = m.node("Clip", prelu(m, m.start(1, 3, 6, 5), slope), m.constant(np.float32(0.3)), m.constant(np.float32(4)))
    model = m.model(m.real(m.node("Mul", y, m.constant(np.float32(0.5))), 0.0371, -3))
    check(model, judged=1, differing=0.01)
    on_engine(model)


def test_dequantised_slopes_within_a_network() -> None:
    m = QdqModel(SEED)
    x = m.real(m.conv(m.start(1, 2, 6, 6), 2, 3, pads=[1, 1, 1, 1]), 0.07, 4)
    codes = np.array([-20, 90, 3], np.int8).reshape(3, 1, 1)
    slope = m.node("DequantizeLinear", m.constant(codes), m.constant(np.float32(0.01)))
    y = m.real(m.node("PRelu", x, slope), 0.05)
    model = m.model(m.real(m.conv(y, 3, 4), 0.1))
    graph = check(model, judged=3)
    assert [node.op for node in graph.nodes] == ["QConv", "QRequant", "QConv", "QRequant", "QAdd", "QConv"]
    on_engine(model)


def test_one_slope_is_a_table() -> None:
    m = QdqModel(SEED)
    y = m.node("PRelu", m.start(1, 3, 4, 4), m.constant(np.full((1, 1, 1), 0.3, np.float32)))
    assert [node.op for node in check(m.model(m.real(y, 0.05)), judged=1).nodes] == ["QTable"]


def test_refusals() -> None:
    m = QdqModel(SEED)
    y = m.node("PRelu", m.start(1, 3, 6, 5), m.constant(np.ones((6, 5), np.float32)))
    with pytest.raises(UnsupportedModel, match=r"\(PRelu\): a constant of shape \[6, 5\] meets a tensor of shape"):
        import_model(m.model(m.real(y)))
    m = QdqModel(SEED)
    with pytest.raises(UnsupportedModel, match=r"\(PRelu\): tensor 'conv\d_out' is not quantised"):
        import_model(m.model(m.real(prelu(m, m.conv(m.start(1, 3, 6, 6), 3, 3), RISING))))
    m = QdqModel(SEED)
    with pytest.raises(UnsupportedModel, match=r"\(PRelu\): a constant of shape \[3, 1, 1\]; accepted: a single"):
        import_model(m.model(m.real(prelu(m, m.node("Tanh", m.start(1, 3, 6, 6)), RISING))))
