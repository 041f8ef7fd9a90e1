# SPDX-License-Identifier: Apache-2.0
"""The activation memory: banks side by side, each with its own line address, so that windows may start anywhere.

A line lies across the banks, ``act_granule`` elements in each. A window that starts within a line takes the banks
before its start from the following line. With two segments the upper and the lower half of the lines are separate
memories, and the two kinds of read exclude each other only within a half.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.linemem import LineMemory
from systolith.hdl.outline import outlined
from systolith.hdl.skew import delayed
from systolith.hdl.target import Target
from systolith.spec.arch import Arch, clog2

__all__ = ["ActivationMemory"]


class ActivationMemory(wiring.Component):
    """Serves windows, residual operands, stores and, when no run is active, the host.

    All reads answer :attr:`latency` cycles later; requests made in one cycle meet in the memory. Addresses are element
    addresses; a line is ``arch.line`` elements.

    Members:
        window_en, window_addr: In; read from a multiple of ``act_granule`` on. window_data: Out; the line's elements
            in bank order: element j of the window is ``window_data[(addr + j) % line]``.
        operand_en, operand_addr: In; read C elements from a multiple of C. Wins over a window in its segment.
            operand_data: Out.
        store_en, store_addr, store_data: In; write C elements at a multiple of C. In a single-port memory it wins over
            both reads in its segment.
        host_read, host_write, host_line, host_data: In; a whole line; ``window_data`` shows a line read until the next
            read. Nothing else may be asked for in the same cycle.
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        self._target = target
        address, line = arch.act_addr_bits, data.ArrayLayout(signed(arch.act_bits), arch.line)
        vector = data.ArrayLayout(signed(arch.act_bits), arch.cols)
        super().__init__(
            {
                "window_en": In(1),
                "window_addr": In(address),
                "window_data": Out(line),
                "operand_en": In(1),
                "operand_addr": In(address),
                "operand_data": Out(vector),
                "store_en": In(1),
                "store_addr": In(address),
                "store_data": In(vector),
                "host_read": In(1),
                "host_write": In(1),
                "host_line": In(clog2(arch.act_lines)),
                "host_data": In(arch.act_line_bits),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a request to the data: a register in front of the memory, the memory, and one behind it."""
        return 3

    @property
    def _offset_bits(self) -> int:
        return clog2(self._arch.line)

    @property
    def _segment_lines(self) -> int:
        return self._arch.act_lines // self._arch.act_segments

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        near, far, further = self._locate(m)
        segments = [
            self._late(m, segment, self._make_segment(m, segment, near, far, further))
            for segment in range(self._arch.act_segments)
        ]
        banks = []
        for bank in range(self._arch.banks):
            line = Mux(further[bank], far, near)
            parts = [segment[bank] for segment in segments]
            banks.append(self._select(m, f"bank{bank}", self.window_en | self.host_read, line, parts))
        m.d.comb += self.window_data.eq(Cat(banks))
        if self._arch.residual:
            self._serve_operand(m, [Cat(segment) for segment in segments])
        return m

    def _late(self, m: Module, segment: int, banks: list[LineMemory]) -> list[Signal]:
        """What the banks answer, from registers: a large memory answers late in its cycle."""
        answers = []
        for index, bank in enumerate(banks):
            answers.append(Signal(len(bank.read_data), name=f"answer{segment}_{index}", reset_less=True))
            m.d.sync += answers[-1].eq(bank.read_data)
        return answers

    def _line_of(self, address: Value) -> Value:
        return address[self._offset_bits :]

    def _locate(self, m: Module) -> tuple[Signal, Signal, Signal]:
        """The line in which a window starts, or the host's; the following one; the banks that serve the latter."""
        near, far = (Signal.like(self.host_line, name=name) for name in ("near", "far"))
        further = Signal(self._arch.banks)
        offset = self.window_addr[clog2(self._arch.act_granule) : self._offset_bits]
        # the host's request does not pass the adder, which would make it late
        m.d.comb += [
            near.eq(Mux(self.host_read, self.host_line, self._line_of(self.window_addr))),
            far.eq(self._line_of(self.window_addr) + 1),
            further.eq(Cat(~self.host_read & (offset > bank) for bank in range(self._arch.banks))),
        ]
        return near, far, further

    def _of_segment(self, line: Value, segment: int) -> Value:
        """Whether a line lies in a segment."""
        return line[-1] == segment if self._arch.act_segments > 1 else Const(1)

    def _make_segment(self, m: Module, segment: int, near: Signal, far: Signal, further: Signal) -> list[LineMemory]:
        """The banks of a segment; an operand read there comes before the window's."""
        arch, lines = self._arch, clog2(self._segment_lines)
        wanted = Signal(2, name=f"wanted{segment}")
        address = [Signal(lines, name=f"{name}_line{segment}") for name in ("near", "far")]
        for index, line in enumerate((near, far)):
            read = (self.window_en | self.host_read) & self._of_segment(line, segment)
            if arch.residual:
                operand = self._line_of(self.operand_addr)
                taken = self.operand_en & self._of_segment(operand, segment)
                m.d.comb += [wanted[index].eq(taken | read), address[index].eq(Mux(taken, operand, line))]
            else:
                m.d.comb += [wanted[index].eq(read), address[index].eq(line)]
        banks = []
        for bank in range(arch.banks):
            banks.append(memory := self._make_bank(m, segment, bank))
            m.d.comb += [
                memory.read_en.eq(Mux(further[bank], wanted[1], wanted[0])),
                memory.read_addr.eq(Mux(further[bank], address[1], address[0])),
            ]
        return banks

    def _make_bank(self, m: Module, segment: int, bank: int) -> LineMemory:
        arch = self._arch
        memory = LineMemory(
            bits=arch.act_granule * arch.act_bits,
            depth=self._segment_lines,
            unit=arch.act_bits,
            single_port=arch.act_single_port,
            early=True,
            target=self._target,
        )
        m.submodules[f"segment{segment}_bank{bank}"] = memory
        self._write_bank(m, memory, segment, bank)
        return memory

    def _write_bank(self, m: Module, memory: LineMemory, segment: int, bank: int) -> None:
        """Stores of C elements somewhere in a line; the host's are whole lines."""
        arch, granule = self._arch, self._arch.act_granule
        line = Mux(self.host_write, self.host_line, self.store_addr[self._offset_bits :])
        here = self._of_segment(line, segment)
        position = self.store_addr[clog2(arch.cols) : self._offset_bits]
        m.d.comb += memory.write_addr.eq(line[: clog2(self._segment_lines)])
        for unit in range(granule):
            element = bank * granule + unit
            part = slice(unit * arch.act_bits, (unit + 1) * arch.act_bits)
            host = self.host_data[element * arch.act_bits : (element + 1) * arch.act_bits]
            hit = self.store_en & (position == element // arch.cols)
            m.d.comb += [
                memory.write_en[unit].eq((hit | self.host_write) & here),
                memory.write_data[part].eq(Mux(self.host_write, host, self.store_data[element % arch.cols])),
            ]

    def _select(self, m: Module, name: str, enable: Value, line: Value, parts: list[Value]) -> Value:
        """Of one part a segment, the one that ``line`` was read from last."""
        if len(parts) == 1:
            return parts[0]
        upper = Signal(name=f"{name}_upper", reset_less=True)
        with m.If(enable):
            m.d.sync += upper.eq(line[-1])
        return Mux(delayed(m, upper, 1, self.latency - 1, f"{name}_upper_late"), parts[1], parts[0])

    def _serve_operand(self, m: Module, lines: list[Value]) -> None:
        """The C elements asked for, from the segments' whole lines."""
        cols = self._arch.cols
        whole = self._select(m, "operand", self.operand_en, self._line_of(self.operand_addr), lines)
        place = self.operand_addr[clog2(cols) : self._offset_bits]
        position = delayed(m, place, unsigned(len(place)), self.latency, "position")
        m.d.comb += self.operand_data.eq(whole.word_select(position, cols * self._arch.act_bits))
