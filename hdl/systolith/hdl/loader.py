# SPDX-License-Identifier: Apache-2.0
"""The weight loader: the weight memory read in consumption order, one pass ahead of the array."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.deepmem import DeepMemory
from systolith.hdl.outline import outlined
from systolith.hdl.payload import WeightPayload, flow
from systolith.hdl.skew import delayed
from systolith.hdl.target import Target
from systolith.hdl.unpack import QUARTERS, Part, Unpack
from systolith.spec.arch import Arch, clog2
from systolith.spec.timing import FETCH_LATENCY, MIN_PASS

__all__ = ["WeightLoader"]


class WeightLoader(wiring.Component):
    """Loads a pass's weights whenever the one before has been taken over.

    Members:
        restart: In; begin at line 0, loading the first pass, whatever is being loaded.
        taken: In; the first window of a pass is issued: its weights are in use, load the next pass.
        jump: In; with ``taken``: the next pass's weights begin at ``target`` instead of behind this pass's.
        target: In; counts with ``taken``.
        first, narrow: In; where weights may be narrow, how often their bits are halved: those of line 0, stable for two
            cycles after ``restart``; those at ``target``, with it.
        hold: In; the next pass must not begin in so many cycles from the next one on.
        ready: Out; a pass may begin: its weights will be in place, and its sums will not overtake the pass before.
        weights: Out; valid-only stream of row groups.
        host_write, host_line, host_data: In; write a line. Only when no run is active.
        again: In; where weights may be stored: load the pass that is in place anew, such that its lines are read
            :data:`~systolith.spec.timing.RELOAD_LATENCY` cycles later or more. Two cycles or more after ``restart`` or
            ``taken``, and the pass's weights are not narrow.
        store_en, store_row, store_data: In; likewise: write a row of weights. The rows of a line come in their order,
            nothing between them; those behind the one written last are zero.
    """

    def __init__(self, *, arch: Arch, target: Target = Target.GENERIC) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        row_bits = arch.cols * arch.weight_bits
        self._memory = DeepMemory(
            bits=arch.weight_line_bits,
            depth=arch.weight_lines,
            single_port=not arch.dynamic_weights,
            target=target,
        )
        line = clog2(arch.weight_lines)
        # Verilog has no port without bits
        widths = dict.fromkeys(("first", "narrow"), In(range(len(arch.stored_weight_bits))))
        stores = {
            "again": In(1),
            "store_en": In(1),
            "store_row": In(arch.weight_row_bits),
            "store_data": In(row_bits),
        }
        super().__init__(
            (widths if arch.narrow_weights else {})
            | (stores if arch.dynamic_weights else {})
            | {
                "restart": In(1),
                "taken": In(1),
                "jump": In(1),
                "target": In(line),
                "hold": In(range(MIN_PASS)),
                "ready": Out(1, init=1),
                "weights": Out(flow(WeightPayload(arch))),
                "host_write": In(1),
                "host_line": In(line),
                "host_data": In(arch.weight_line_bits),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._time_passes(m)
        self._stream(m)
        return m

    def _time_passes(self, m: Module) -> None:
        """Cycles until the next pass may begin."""
        wait = max(self._arch.pass_lines, MIN_PASS) - 1
        left, lowered = Signal(range(wait + 1)), Signal(range(wait + 1))
        m.d.comb += lowered.eq(Mux(self.ready, 0, left - 1))
        again = self.again if self._arch.dynamic_weights else 0
        with m.If(self.restart | self.taken | again):
            m.d.sync += [left.eq(wait), self.ready.eq(0)]
        with m.Else():
            m.d.sync += [left.eq(Mux(self.hold > lowered, self.hold, lowered))]
            m.d.sync += self.ready.eq((self.hold == 0) & (lowered == 0))

    def _stream(self, m: Module) -> None:
        """A line a cycle until the pass is complete, such that weights and window reach the array together."""
        arch = self._arch
        wait = FETCH_LATENCY - 1 - self._memory.latency
        memory = self._memory
        m.submodules.memory = memory
        again = self.again if arch.dynamic_weights else 0
        begin = self._delayed_flag(m, self.restart | self.taken | again, "begin", wait)
        origin = delayed(m, self.restart, 1, wait, "origin")
        # from registers both, for the address is late: whether the pass begins elsewhere, and where
        leap = delayed(m, self.restart | (self.taken & self.jump), 1, wait, "leap")
        place = delayed(m, Mux(self.restart, 0, self.target), len(self.target), wait, "place")
        line = Signal(clog2(arch.weight_lines))
        row = Signal(clog2(arch.pass_lines))
        reading = Signal()
        request, address, group = Signal(), Signal.like(line), Signal.like(row)
        m.d.comb += [
            request.eq(begin | reading),
            address.eq(Mux(leap, place, line)),
            group.eq(Mux(begin, 0, row)),
        ]
        part, last = self._part(m, request, leap, origin, wait) if arch.narrow_weights else (None, 1)
        with m.If(request):
            m.d.sync += [line.eq(address + last), row.eq(group + 1), reading.eq(group != arch.pass_lines - 1)]
        if arch.dynamic_weights:
            self._go_back(m, begin, address, line, self._delayed_flag(m, again, "again", wait - 1))
        m.d.comb += [memory.read_en.eq(request), memory.read_addr.eq(address)]
        self._write(m)
        cycles = memory.latency + 1
        data = Signal(arch.weight_line_bits, reset_less=True)
        m.d.sync += data.eq(memory.read_data)
        m.d.comb += [
            self.weights.valid.eq(self._delayed_flag(m, request, "answered", cycles)),
            self.weights.payload.row.eq(delayed(m, group, row.shape(), cycles, "answer_row")),
            self.weights.payload.data.eq(data if part is None else self._unpack(m, data, part, cycles)),
        ]

    def _go_back(self, m: Module, begin: Value, address: Signal, line: Signal, back: Value) -> None:
        """Where the pass began that is in place, whatever has been read since; ``begin`` follows ``back``."""
        begun = Signal.like(line)
        with m.If(begin):
            m.d.sync += begun.eq(address)
        with m.If(back):
            m.d.sync += line.eq(begun)

    def _write(self, m: Module) -> None:
        """The host's lines, and rows of results."""
        arch, memory = self._arch, self._memory
        m.d.comb += [
            memory.write_en.eq(self.host_write),
            memory.write_addr.eq(self.host_line),
            memory.write_data.eq(self.host_data),
        ]
        if arch.dynamic_weights:
            place = clog2(arch.weight_rows)
            with m.If(self.store_en):
                m.d.comb += [
                    memory.write_en.eq(1),
                    memory.write_addr.eq(self.store_row[place:]),
                    memory.write_data.eq(self._line_so_far(m, self.store_row[:place])),
                ]

    def _line_so_far(self, m: Module, place: Value) -> Value:
        """A row, those stored before it that lie in its line, and zeros; only whole lines are written."""
        rows: list[Value] = [self.store_data]
        line = Signal(self._arch.weight_line_bits)
        for back in range(1, self._arch.weight_rows):
            rows.append(Signal(len(self.store_data), name=f"row_{back}_before", reset_less=True))
            with m.If(self.store_en):
                m.d.sync += rows[back].eq(rows[back - 1])
        with m.Switch(place):
            for index in range(self._arch.weight_rows):
                with m.Case(index):
                    m.d.comb += line.eq(Cat(rows[index::-1]))
        return line

    def _part(self, m: Module, request: Signal, leap: Value, origin: Value, wait: int) -> tuple[Any, Value]:
        """Which part of a line is asked for, and whether it is the line's last.

        A descriptor's weights begin with the first part of their line. ``wait``: cycles since the pass was taken.
        """
        part, kept, quarter = Signal(Part, name="part"), Signal.like(self.narrow), Signal(range(QUARTERS))
        coming = delayed(m, self.narrow, len(self.narrow), wait, "narrow")
        narrow = Mux(leap, Mux(origin, self.first, coming), kept)
        m.d.comb += [
            part.whole.eq(narrow == 0),
            part.half.eq(narrow == 1),
            part.quarter.eq(Mux(leap, 0, quarter)),
        ]
        step = Mux(part.half, QUARTERS // 2, ~part.whole)
        with m.If(request):
            m.d.sync += [kept.eq(narrow), quarter.eq(part.quarter + step)]
        return part, part.whole | Mux(part.half, part.quarter[1], part.quarter.all())

    def _unpack(self, m: Module, line: Signal, part: Any, cycles: int) -> Value:
        """The part's weights, of full width again, out of a line that answers after ``cycles``."""
        m.submodules.unpack = unpack = Unpack(weights=len(line) // self._arch.weight_bits)
        late = delayed(m, part, Part, cycles, "answer_part")
        m.d.comb += [unpack.line.eq(line), unpack.part.eq(late)]
        return unpack.weights

    def _delayed_flag(self, m: Module, flag: Any, name: str, cycles: int) -> Any:
        """A flag after some cycles; unlike data, flags are reset."""
        for step in range(1, cycles + 1):
            register = Signal(name=f"{name}_{step}")
            m.d.sync += register.eq(flag)
            flag = register
        return flag
