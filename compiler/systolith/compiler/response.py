# SPDX-License-Identifier: Apache-2.0
"""What becomes of a tensor's rounding errors where a table computes a function of it.

A tensor that only one elementwise function reads need not be near its real values, but lead to function values that
are: far out, where a sigmoid is flat, a range may end, so that its integers lie closer where the function is steep.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .elementwise import UNARY, evaluate
from .ir import Graph

__all__ = ["Function", "error_through", "response"]

Floats = NDArray[np.float64]
Function = Callable[[Floats], Floats]


def response(graph: Graph, name: str) -> Function | None:
    """The function that alone reads a tensor; None for a graph output and for other readers."""
    readers = graph.consumers(name)
    if len(readers) != 1 or name in graph.outputs:
        return None
    (node,) = readers
    if node.op not in UNARY and node.op != "Elementwise":
        return None
    numbers = [graph.constant(number).astype(np.float64).reshape(()) for number in node.inputs[1:]]
    return lambda x: evaluate(node, [x, *numbers])


def error_through(
    function: Function, values: Floats, weights: Floats, low: float, highs: Floats, levels: int
) -> Floats:
    """Mean squared error of function values when ``values`` are quantised to ``[low, high]``, for each of ``highs``.

    Args:
        function: what is computed of the integers.
        values: real values (V).
        weights: how often each occurs (V), in sum 1.
        low: the range's lower end.
        highs: upper ends (H).
        levels: integers of a range.

    Returns:
        (H); infinite where a value that occurs has no function value.
    """
    step = np.maximum((highs - low) / (levels - 1), 1e-300)[:, None]
    zero = np.rint(-low / step)
    codes = np.clip(np.rint(values / step) + zero, 0, levels - 1).astype(np.int64)
    entries = function((np.arange(levels, dtype=np.float64) - zero) * step)
    with np.errstate(invalid="ignore"):
        error = (np.take_along_axis(entries, codes, axis=1) - function(values)) ** 2
    return np.asarray(np.nan_to_num(error, nan=np.inf, posinf=np.inf) @ weights)
