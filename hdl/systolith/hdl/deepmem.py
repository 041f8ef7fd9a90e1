# SPDX-License-Identifier: Apache-2.0
"""A large memory of whole lines, cut such that no long multiplexer lies behind its blocks.

A tool that makes a memory of 16 K lines from blocks of 2 K puts an eight-way multiplexer between blocks all over the
device and the register behind them. On an ECP5 the memory is cut by depth instead: pieces whose depth a block has in
one of its shapes (16 K x 1, 8 K x 2, 4 K x 4) need no multiplexer inside, and each piece has a register of its own.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.linemem import LineMemory
from systolith.hdl.outline import outlined
from systolith.hdl.ram import Ram
from systolith.hdl.skew import delayed
from systolith.hdl.target import Target
from systolith.spec.arch import clog2

__all__ = ["DeepMemory", "pieces"]

BLOCK_BITS = 1 << 14
"""Bits of a DP16KD in its narrow shapes."""

WIDE_DEPTH = 1 << 11
"""Its depth in the deepest shape that uses the ninth bit of a byte."""

FEW = 4
"""Pieces of WIDE_DEPTH beside each other that are worth an eighth of the blocks."""


def pieces(depth: int) -> list[int]:
    """Lines of the pieces of a memory on an ECP5, from line 0 on; every piece begins at a multiple of its size."""
    whole = depth // WIDE_DEPTH
    if whole <= FEW:
        return [WIDE_DEPTH] * whole + [depth % WIDE_DEPTH] * (depth % WIDE_DEPTH > 0)
    largest = min(BLOCK_BITS, 1 << (depth.bit_length() - 1))
    return [largest, *(pieces(depth - largest) if depth > largest else [])]


class DeepMemory(wiring.Component):
    """A memory of ``depth`` lines of ``bits`` bits; a read takes :attr:`latency` cycles.

    Members: ``read_en``, ``read_addr`` (In), ``read_data`` (Out; counts in that cycle only), ``write_en``,
    ``write_addr``, ``write_data`` (In). With one port a write excludes a read; with two it is undefined what reading a
    line gives in the cycle of its write. A line can be read from the cycle after that.
    """

    def __init__(self, *, bits: int, depth: int, single_port: bool = True, target: Target = Target.GENERIC) -> None:
        """Build; raises ValueError for sizes that make no memory."""
        self._single_port = single_port
        self._pieces = pieces(depth) if target is Target.ECP5 else [depth]
        self._memory: LineMemory | None = None
        if len(self._pieces) == 1:
            self._memory = LineMemory(
                bits=bits, depth=depth, unit=bits, single_port=single_port, early=True, target=target
            )
        super().__init__(
            {
                "read_en": In(1),
                "read_addr": In(clog2(depth)),
                "read_data": Out(bits),
                "write_en": In(1),
                "write_addr": In(clog2(depth)),
                "write_data": In(bits),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``read_en`` to the data: a register in front, the memory, and, of pieces, their registers."""
        return 3 if self._memory is None else self._memory.latency

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        if self._memory is None:
            self._make_pieces(m)
            return m
        m.submodules.memory = memory = self._memory
        for name, member in self.signature.members.items():
            port, own = getattr(memory, name), getattr(self, name)
            m.d.comb += port.eq(own) if member.flow == In else own.eq(port)
        return m

    def _make_pieces(self, m: Module) -> None:
        """The request from registers; the piece it was for, from its own register, answers."""
        address = Signal(len(self.read_addr))
        shared = Mux(self.write_en, self.write_addr, self.read_addr)
        m.d.comb += address.eq(shared if self._single_port else self.read_addr)
        request = {"addr": self._early(m, "addr", address), "data": self._early(m, "data", self.write_data)}
        request["place"] = request["addr"] if self._single_port else self._early(m, "place", self.write_addr)
        answer: Value = Const(0)
        first = 0
        for number, lines in enumerate(self._pieces):
            # the address comes late: a write looks at its own, an answer at the register's
            written, asked = (
                line[clog2(lines) :] == first >> clog2(lines) for line in (self.write_addr, request["addr"])
            )
            write = self._early(m, f"write{number}", self.write_en & written)
            late = self._make_piece(m, number, request | {"write": write})
            chosen = delayed(m, asked, 1, self.latency - 1, f"answers{number}")
            answer = Mux(chosen, late, answer) if number else late
            first += lines
        m.d.comb += self.read_data.eq(answer)

    def _early(self, m: Module, name: str, value: Value) -> Signal:
        register = Signal(len(value), name=f"early_{name}", reset_less=True)
        m.d.sync += register.eq(value)
        return register

    def _make_piece(self, m: Module, number: int, request: dict[str, Signal]) -> Signal:
        """One piece, of parts as wide as one block of its depth is; its answer from a register."""
        lines, whole = self._pieces[number], len(self.read_data)
        width = max(1, BLOCK_BITS >> clog2(lines)) if lines > WIDE_DEPTH else whole
        late = Signal(whole, name=f"late{number}", reset_less=True)
        for low in range(0, whole, width):
            part = slice(low, min(low + width, whole))
            m.submodules[f"piece{number}_{low}"] = ram = Ram(bits=part.stop - part.start, depth=max(2, lines))
            m.d.comb += [
                # always, so that the register behind it can be the block RAM's own
                ram.read_en.eq(1),
                ram.read_addr.eq(request["addr"]),
                ram.write_en.eq(request["write"]),
                ram.write_addr.eq(request["place"]),
                ram.write_data.eq(request["data"][part]),
            ]
            m.d.sync += late[part].eq(ram.read_data)
        return late
