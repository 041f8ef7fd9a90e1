# SPDX-License-Identifier: Apache-2.0
"""The multiplier block of an ECP5, MULT18X18D, with registers that synthesis does not find for itself.

Lattice, *ECP5 and ECP5-5G sysDSP Usage Guide* (FPGA-TN-02205): operands, pipeline and output have registers of their
own, each with a clock enable.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value

__all__ = ["MULT18_BITS", "add_mult18"]

MULT18_BITS = 18
"""Bits of a signed operand."""

_CLOCKED = {"CLK": "CLK0", "RST": "RST0"}


def _register(name: str, enable: str) -> dict[str, str]:
    """Parameters that put a register in."""
    return {f"p_REG_{name}_CE": enable} | {f"p_REG_{name}_{pin}": source for pin, source in _CLOCKED.items()}


def _extended(value: Any) -> Value:
    missing = MULT18_BITS - len(value)
    sign = value[-1] if value.shape().signed else Const(0, 1)
    return Cat(value, sign.replicate(missing))


def _bits(port: str, value: Value) -> dict[str, Value]:
    return {f"i_{port}{index}": value[index] for index in range(MULT18_BITS)}


def add_mult18(m: Module, name: str, a: Any, b: Any, *, take_b: Any = 1, pipeline: bool = False) -> Value:
    """``a * b``, signed, two cycles later (``pipeline``: three). ``b`` is held while ``take_b`` is low.

    Operands have at most :data:`MULT18_BITS` bits, unsigned ones one less.
    """
    output = Signal(2 * MULT18_BITS, name=f"{name}_output")
    registers = _register("INPUTA", "CE0") | _register("INPUTB", "CE1") | _register("OUTPUT", "CE0")
    if pipeline:
        registers |= _register("PIPELINE", "CE0")
    m.submodules[name] = Instance(
        "MULT18X18D",
        **registers,
        **_bits("A", _extended(a)),
        **_bits("B", _extended(b)),
        **_bits("C", Const(0, MULT18_BITS)),
        **{f"i_SIGNED{operand}": Const(1) for operand in "AB"},
        **{f"i_SOURCE{operand}": Const(0) for operand in "AB"},
        **{f"i_RST{index}": Const(0) for index in range(4)},
        i_CLK0=ClockSignal(),
        i_CE0=Const(1),
        i_CE1=take_b,
        **{f"o_P{index}": output[index] for index in range(2 * MULT18_BITS)},
    )
    return output[: len(a) + len(b)].as_signed()
