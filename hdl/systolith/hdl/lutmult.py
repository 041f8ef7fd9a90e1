# SPDX-License-Identifier: Apache-2.0
"""Signed multiplication in the logic of an ECP5: two rows of partial products in one carry chain.

What synthesis makes of a product in logic takes a LUT for every bit of every partial product and another one to add it.
The LUTs of a carry chain (CCU2C) have four inputs, though: enough to make two bits of partial products *and* add them.
An 8 x 8 product is four such chains of ten bits and three adders.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Instance, Module, Signal, Value

__all__ = ["logic_product"]

_SUM = 0x7888
"""LUT of (A & B) + (C & D). Its four low bits, which decide the carry where both are equal, must be the first term's.
"""

_DIFFERENCE = 0x8777
"""LUT of ~(A & B) + (C & D)."""


def logic_product(m: Module, name: str, a: Any, b: Any) -> Value:
    """``a * b`` of signed signals, in the same cycle, in as many bits as both have."""
    factor = b if len(b) % 2 == 0 else Cat(b, b[-1])
    last = len(factor) - 2
    level = [_pair(m, f"{name}_{low}", a, factor[low], factor[low + 1], low == last) for low in range(0, last + 1, 2)]
    shift = 2
    while len(level) > 1:
        pairs = [_add_shifted(level[index], level[index + 1], shift) for index in range(0, len(level) - 1, 2)]
        level, shift = pairs + level[2 * len(pairs) :], 2 * shift
    return level[0][: len(a) + len(b)].as_signed()


def _pair(m: Module, name: str, a: Any, low: Value, high: Value, negative: bool) -> Value:
    """``low * a + 2 * high * a``; ``negative``: ``low * a - 2 * high * a``, the sign bit's weight."""
    bits = len(a) + 2
    single = Cat(a, a[-1].replicate(2))
    double = Cat(Const(0, 1), a, a[-1])
    total = Signal(bits + bits % 2, name=name)
    carry: Value = Const(int(negative), 1)
    for bit in range(0, bits, 2):
        following = Signal(name=f"{name}_carry{bit}")
        halves = [
            _half(half, single[bit + half], low, double[bit + half], high, negative)
            for half in (0, 1)
            if bit + half < bits
        ]
        m.submodules[f"{name}_chain{bit}"] = Instance(
            "CCU2C",
            **{key: value for half in halves for key, value in half.items()},
            i_CIN=carry,
            o_S0=total[bit],
            o_S1=total[bit + 1],
            o_COUT=following,
        )
        carry = following
    return total[:bits].as_signed()


def _half(half: int, single: Value, low: Value, double: Value, high: Value, negative: bool) -> dict[str, Any]:
    """One bit of a chain. The term that is negated must be the first."""
    first, second = ((double, high), (single, low)) if negative else ((single, low), (double, high))
    pins = dict(zip("ABCD", (*first, *second), strict=True))
    return {f"i_{pin}{half}": value for pin, value in pins.items()} | {
        f"p_INIT{half}": Const(_DIFFERENCE if negative else _SUM, 16),
        f"p_INJECT1_{half}": "NO",
    }


def _add_shifted(low: Value, high: Value, shift: int) -> Value:
    """``low + (high << shift)``. The low bits pass by the adder, which keeps synthesis from regrouping the tree."""
    return Cat(low[:shift], low[shift:].as_signed() + high).as_signed()
