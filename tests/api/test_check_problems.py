# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from systolith.api.check_problems import Problem
from systolith.compiler.errors import CapacityError, CompileError, QuantisationError, ShapeError, UnsupportedModel

CASES: list[tuple[CompileError, Problem]] = [
    (
        UnsupportedModel(node="a", op="Conv", problem="x", accepted="y; z", advice="w"),
        Problem("UnsupportedModel", "a", "Conv", "x", "y; z", "w", "node 'a' (Conv): x; accepted: y; z; w"),
    ),
    (
        QuantisationError("node 'a/b': sums of 9 need 33 bits; accepted: 32; use a wider one"),
        Problem("QuantisationError", "a/b", "", "sums of 9 need 33 bits", "32", "use a wider one", ""),
    ),
    (
        ShapeError("input 'x': shape ['H'] is dynamic; accepted: fixed sizes; give them"),
        Problem("ShapeError", "x", "", "shape ['H'] is dynamic", "fixed sizes", "give them", ""),
    ),
    (
        CapacityError("activations do not fit: 3 are needed"),
        Problem("CapacityError", "", "", "activations do not fit: 3 are needed", "", "", ""),
    ),
]


@pytest.mark.parametrize(("error", "problem"), CASES, ids=[type(error).__name__ for error, _ in CASES])
def test_a_refusal_comes_apart(error: CompileError, problem: Problem) -> None:
    got = Problem.of(error)
    assert got.text == str(error)
    for key in ("kind", "node", "op", "problem", "accepted", "advice"):
        assert getattr(got, key) == getattr(problem, key), key
