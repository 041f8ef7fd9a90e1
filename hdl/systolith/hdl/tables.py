# SPDX-License-Identifier: Apache-2.0
"""The tables behind the lanes: any function of one stored integer, looked up.

Each lane has a memory of its own with all tables, since all lanes look up in the same cycle; the host writes them
together. An element is the address as it is, in two's complement: the one inverter that puts the smallest integer's
entry first is on the host's side, where it takes no time.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.ram import Ram
from systolith.hdl.skew import delayed
from systolith.spec.arch import Arch, clog2
from systolith.spec.link import Space, space_lines

__all__ = ["Tables"]


class Tables(wiring.Component):
    """All lanes' elements, each passed on or replaced, :func:`~systolith.spec.timing.table_latency` cycles later.

    Members:
        lookup: In; replace the elements. table: In; by entries of which table. Both stable while elements are inside.
        input, output: In, Out; arrays of ``lanes`` signed elements.
        host_write, host_line, host_data: In; write an entry, numbered as the lines of the space TABLES. Not while
            elements are inside.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``; raises ValueError if it has no tables."""
        if not arch.tables:
            raise ValueError(f"arch {arch.name!r} has no tables")
        self._arch = arch
        elements = data.ArrayLayout(signed(arch.act_bits), arch.lanes)
        super().__init__(
            {
                "lookup": In(1),
                "table": In(clog2(arch.tables)),
                "input": In(elements),
                "output": Out(elements),
                "host_write": In(1),
                "host_line": In(clog2(space_lines(Space.TABLES, arch))),
                "host_data": In(arch.act_bits),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        sign = self._arch.act_bits - 1
        line = Signal.like(self.host_line)
        m.d.comb += line.eq(self.host_line ^ (1 << sign))
        for index in range(self._arch.lanes):
            element = self.input[index]
            m.submodules[f"entries{index}"] = ram = Ram(bits=sign + 1, depth=space_lines(Space.TABLES, self._arch))
            passed = delayed(m, element, sign + 1, 2, f"passed{index}")
            found = delayed(m, ram.read_data, sign + 1, 1, f"found{index}")
            m.d.comb += [
                # always, so that the register right behind it can be the block RAM's own
                ram.read_en.eq(1),
                ram.read_addr.eq(Cat(element, self.table)),
                ram.write_en.eq(self.host_write),
                ram.write_addr.eq(line),
                ram.write_data.eq(self.host_data),
                self.output[index].eq(Mux(self.lookup, found, passed)),
            ]
        return m
