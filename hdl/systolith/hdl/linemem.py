# SPDX-License-Identifier: Apache-2.0
"""Memories of lines written in units: one read and one write port, or one port for both.

The behavioural form is for simulators and for synthesis tools that infer block RAM; where one port is enough and the
target is an iCE40 UltraPlus, a large memory is made of its single-port RAMs instead, which no tool infers. Both forms
answer alike.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.ram import Ram
from systolith.hdl.target import Target
from systolith.spec.arch import clog2

__all__ = ["LineMemory"]

SPRAM_BITS = 16
"""Data bits of an SB_SPRAM256KA."""

SPRAM_ADDRESS_BITS = 14
"""Its address bits."""

SPRAM_UNIT = 4
"""Bits behind each bit of its write mask."""

SPRAM_FROM = 1 << 12
"""Lines from which a memory is worth one of the four; smaller ones go to block RAM."""


class LineMemory(wiring.Component):
    """A memory of ``depth`` lines of ``bits`` bits.

    Reading takes :attr:`latency` cycles; the data then stay until the next read, in the single-port form only until the
    next write. With ``early`` all inputs pass a register, so that a request may be the result of some logic and have a
    long way to many blocks: all answers and all writes come a cycle later. What reading a line in the cycle it is
    written gives is undefined.

    Members:
        read_en, read_addr: In; read a line.
        read_data: Out; the line read last.
        write_en: In; bit ``i`` writes unit ``i`` (``unit`` bits; the last one may be narrower).
        write_addr, write_data: In.

    In the single-port form a write excludes a read: ``read_en`` has no effect in the same cycle.
    """

    def __init__(
        self,
        *,
        bits: int,
        depth: int,
        unit: int,
        single_port: bool = False,
        early: bool = False,
        target: Target = Target.GENERIC,
    ) -> None:
        """Build; raises ValueError for sizes that make no memory."""
        if bits < 1 or depth < 2:
            raise ValueError(f"a memory needs 1 bit and 2 lines or more, got {bits} bits and {depth} lines")
        if not 1 <= unit <= bits:
            raise ValueError(f"the write unit must be in 1..{bits} bits, got {unit}")
        self._bits, self._depth, self._unit = bits, depth, unit
        self._single_port, self._early, self._target = single_port, early, target
        if self.uses_spram and depth > 1 << SPRAM_ADDRESS_BITS:
            raise ValueError(f"a single-port RAM has {1 << SPRAM_ADDRESS_BITS} lines, got {depth}")
        super().__init__(
            {
                "read_en": In(1),
                "read_addr": In(clog2(depth)),
                "read_data": Out(bits),
                "write_en": In(self.units),
                "write_addr": In(clog2(depth)),
                "write_data": In(bits),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``read_en`` to the data."""
        return 2 if self._early else 1

    @property
    def units(self) -> int:
        """Separately written parts of a line."""
        return -(-self._bits // self._unit)

    @property
    def uses_spram(self) -> bool:
        """Whether the memory is made of SB_SPRAM256KA primitives."""
        fits = self._unit % SPRAM_UNIT == 0 or self.units == 1
        return self._target is Target.ICE40 and self._single_port and fits and self._depth >= SPRAM_FROM

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        request = self._request(m)
        if self.uses_spram:
            self._make_spram(m, request)
        else:
            self._make_behavioural(m, request)
        return m

    def _request(self, m: Module) -> dict[str, Any]:
        """The inputs by name, with one address where there is one port; from registers if they come early."""
        inputs: dict[str, Any] = {
            name: getattr(self, name) for name in ("read_en", "read_addr", "write_en", "write_addr", "write_data")
        }
        if self._single_port:
            inputs["read_addr"] = Mux(self.write_en.any(), self.write_addr, self.read_addr)
            inputs["read_en"] = self.read_en & ~self.write_en.any()
            del inputs["write_addr"]
        if self._early:
            for name, value in inputs.items():
                inputs[name] = register = Signal(len(value), name=f"early_{name}", reset_less=not name.endswith("_en"))
                m.d.sync += register.eq(value)
        return inputs

    def _make_behavioural(self, m: Module, request: dict[str, Any]) -> None:
        """One memory a unit: every tool then finds the write enables."""
        for index in range(self.units):
            part = slice(index * self._unit, min((index + 1) * self._unit, self._bits))
            m.submodules[f"unit{index}"] = ram = Ram(bits=part.stop - part.start, depth=self._depth)
            m.d.comb += [
                ram.read_en.eq(request["read_en"]),
                ram.read_addr.eq(request["read_addr"]),
                self.read_data[part].eq(ram.read_data),
                ram.write_en.eq(request["write_en"][index]),
                ram.write_addr.eq(request["read_addr" if self._single_port else "write_addr"]),
                ram.write_data.eq(request["write_data"][part]),
            ]

    def _make_spram(self, m: Module, request: dict[str, Any]) -> None:
        """Primitives side by side, the write mask spread over their nibbles."""
        address = Signal(SPRAM_ADDRESS_BITS)
        m.d.comb += address.eq(request["read_addr"])
        nibbles = -(-self._bits // SPRAM_UNIT)
        writing = request["write_en"]
        mask = Cat(writing[index * SPRAM_UNIT // self._unit] for index in range(nibbles))
        for index in range(-(-self._bits // SPRAM_BITS)):
            part = slice(index * SPRAM_BITS, min((index + 1) * SPRAM_BITS, self._bits))
            word = Signal(SPRAM_BITS, name=f"word{index}")
            m.d.comb += self.read_data[part].eq(word)
            m.submodules[f"spram{index}"] = Instance(
                "SB_SPRAM256KA",
                i_CLOCK=ClockSignal(),
                i_ADDRESS=address,
                i_DATAIN=_padded(request["write_data"][part], SPRAM_BITS),
                i_MASKWREN=_padded(mask[part.start // SPRAM_UNIT : -(-part.stop // SPRAM_UNIT)], 4),
                i_WREN=writing.any(),
                i_CHIPSELECT=request["read_en"] | writing.any(),
                i_STANDBY=0,
                i_SLEEP=0,
                i_POWEROFF=1,
                o_DATAOUT=word,
            )


def _padded(value: Value, bits: int) -> Value:
    """``value`` zero-extended to exactly ``bits`` bits, as a port of a primitive wants it."""
    return Cat(value, Const(0, bits - len(value))) if len(value) < bits else value
