# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np

from systolith.compiler.frontend.qdq_bias import FINEST, settled
from systolith.compiler.frontend.qdq_values import Pending
from systolith.compiler.ir import QParams

STEP = QParams(0.5)


def layer(weight: list[int], bias: list[float], scales: list[float]) -> Pending:
    constants = {"weight": np.array(weight).reshape(-1, 1, 1, 1), "bias": np.array(bias)}
    return Pending("QConv", "n", ("x",), np.array(scales), (1, 1), (1, 1), ("Conv",), constants=constants)


def test_whole_biases_stay_and_fractions_get_bits_where_the_weights_have_room() -> None:
    before = layer([1, 1, -3, 127, 64, 0], [4, 0.3, 0.3, 0.3, 0.3, 0.3], [0.5] * 6)
    after = settled(before, STEP, 8)
    # a unit is a whole step of the output: 4 bits bring its rounding to 1/32 of a step
    factor = np.array([1, 16, 16, 1, 1, 16])
    assert FINEST == (1 / 2 / 16)
    assert after.scales.tolist() == (0.5 / factor).tolist()
    assert after.constants["weight"].ravel().tolist() == [1, 16, -48, 127, 64, 0]
    assert after.constants["bias"].tolist() == [4, 5, 5, 0, 0, 5]
    assert after.constants["bias"].dtype == np.int64


def test_room_is_that_of_the_weights_bits() -> None:
    after = settled(layer([1, 3, -8], [0.3] * 3, [0.5] * 3), STEP, 4)
    assert after.constants["weight"].ravel().tolist() == [4, 6, -8]


def test_a_fine_unit_needs_nothing() -> None:
    before = layer([1], [1000.4], [0.5 * 2 * FINEST])
    assert settled(before, STEP, 8).constants["bias"].tolist() == [1000]
    assert settled(before, STEP, 8).scales.tolist() == before.scales.tolist()


def test_layers_without_bias_stay() -> None:
    pool = Pending("QPool", "n", ("x",), np.array(0.5), (1, 1), (1, 1), ("MaxPool",))
    assert settled(pool, STEP, 8) is pool


def test_parts_are_settled_too() -> None:
    """So that what looks at them sees the units that they will have; again it changes nothing."""
    whole = replace(layer([1], [4.0], [0.5]), op="QMove", constants={}, parts=(layer([1], [0.3], [0.5]),))
    once = settled(whole, STEP, 8)
    assert once.parts[0].scales.tolist() == [0.5 / 16]
    assert settled(once, STEP, 8).parts[0].constants["bias"].tolist() == once.parts[0].constants["bias"].tolist() == [5]
