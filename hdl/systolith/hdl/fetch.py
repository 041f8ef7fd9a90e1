# SPDX-License-Identifier: Apache-2.0
"""The fetch stage: from the coordinates of a window to its elements.

Five cycles (:data:`systolith.spec.timing.FETCH_LATENCY`): address and bounds; three for the memory with its registers;
rotation and masking.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import outlined
from systolith.hdl.payload import DepthwiseTag, Tag, WindowPayload, flow
from systolith.hdl.skew import delayed
from systolith.spec.arch import Arch, clog2
from systolith.spec.timing import FETCH_LATENCY, LINE_LATENCY

__all__ = ["Fetch", "FetchConfig", "IssuePayload"]


class IssuePayload(data.StructLayout):
    """A window to be fetched: where it starts and what travels with it."""

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        coordinate = signed(arch.coord_bits)
        members: dict[str, object] = {"row": coordinate, "col": coordinate, "vector": 1, "tag": Tag}
        if arch.pool:
            members["maximum"] = 1
        if arch.depthwise:
            members["dw"] = DepthwiseTag(arch)
        super().__init__(members)


class FetchConfig(data.StructLayout):
    """The input tensor; the names are those of the ISA's fields."""

    def __init__(self, arch: Arch) -> None:
        """Take the widths of ``arch``."""
        size = unsigned(arch.coord_bits)
        super().__init__(
            {
                "base": unsigned(arch.act_addr_bits),
                "plane": size,
                "row_len": size,
                "fill": signed(arch.act_bits),
                "line_last": clog2(arch.line_depth),
            }
        )


class Fetch(wiring.Component):
    """Reads windows.

    Members:
        config: In; of the window that is issued in the same cycle.
        issue: In; valid-only stream. Whoever issues sees to it that the memory serves the read in the next cycle.
        memory_en, memory_addr: Out; the read request, one cycle after the issue.
        memory_data: In; three cycles later: the line's elements in bank order.
        coming: Out; in LINE_LATENCY cycles ``windows`` has a pixel of a raster (with the depthwise feed). line_last:
            Out; now, of its descriptor.
        windows: Out; valid-only stream, FETCH_LATENCY cycles after the issue.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the sizes of ``arch``."""
        self._arch = arch
        super().__init__(
            {
                "config": In(FetchConfig(arch)),
                "issue": In(flow(IssuePayload(arch))),
                "memory_en": Out(1),
                "memory_addr": Out(arch.act_addr_bits),
                "memory_data": In(data.ArrayLayout(signed(arch.act_bits), arch.line)),
                "coming": Out(1),
                "line_last": Out(clog2(arch.line_depth)),
                "windows": Out(flow(WindowPayload(arch))),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        arch = self._arch
        self._carry_tag(m)
        self._address(m)
        inside = self._inside(m)
        rotated = self._rotate(m, self.memory_data)
        fill = delayed(m, self.config.fill, signed(arch.act_bits), FETCH_LATENCY - 1, "fill")
        if arch.depthwise:
            lines = delayed(m, self.config.line_last, len(self.line_last), FETCH_LATENCY - LINE_LATENCY, "line_last")
            m.d.sync += self.windows.payload.fill.eq(fill)
            m.d.comb += self.line_last.eq(lines)
        for lane in range(arch.window):
            element = Signal(signed(arch.act_bits), name=f"element{lane}", reset_less=True)
            m.d.sync += element.eq(Mux(inside[lane], rotated[lane], fill))
            m.d.comb += self.windows.payload.data[lane].eq(element)
        return m

    def _carry_tag(self, m: Module) -> None:
        """Valid bit and tag beside the data."""
        valid = [self.issue.valid]
        for step in range(1, FETCH_LATENCY + 1):
            valid.append(Signal(name=f"valid_{step}"))
            m.d.sync += valid[step].eq(valid[step - 1])
        window = self.windows.payload
        m.d.comb += [self.memory_en.eq(valid[1]), self.windows.valid.eq(valid[FETCH_LATENCY])]
        shapes: dict[str, Any] = {"vector": unsigned(1), "tag": Tag}
        if self._arch.pool:
            shapes["maximum"] = unsigned(1)
        if self._arch.depthwise:
            shapes["dw"] = DepthwiseTag(self._arch)
        for name, shape in shapes.items():
            early = delayed(m, self.issue.payload[name], shape, FETCH_LATENCY - LINE_LATENCY, name)
            m.d.comb += window[name].eq(delayed(m, early, shape, LINE_LATENCY, f"{name}_late"))
            if name == "dw":
                m.d.comb += self.coming.eq(valid[FETCH_LATENCY - LINE_LATENCY] & early.depthwise)

    def _address(self, m: Module) -> None:
        """Cycle 0."""
        where = self.issue.payload
        m.d.sync += self.memory_addr.eq(self.config.base + where.row + where.col)

    def _inside(self, m: Module) -> Value:
        """Cycles 0 to 3: a bit a lane, set where the element lies inside the tensor.

        The column of lane ``i`` is ``col + i``; near an end of the row the low bits decide, further off the high ones.
        """
        arch, where = self._arch, self.issue.payload
        low = clog2(arch.window)
        # in a register: the subtraction is a cycle of its own
        right = Signal(signed(arch.coord_bits + 2), name="right", reset_less=True)
        row_inside, begun, beginning = (
            Signal(name=name, reset_less=True) for name in ("row_inside", "begun", "beginning")
        )
        before = Signal(low, name="before", reset_less=True)
        m.d.sync += [
            right.eq(self.config.row_len - where.col),
            row_inside.eq((where.row >= 0) & (where.row < self.config.plane)),
            begun.eq(where.col >= 0),
            beginning.eq(where.col[low:].all()),
            before.eq(where.col[:low]),
        ]
        far, left = right[low:-1].any(), right[:low]
        going_on, ending = ~right[-1] & far, ~right[-1] & ~far
        starts = [begun | (beginning & (before >= arch.window - lane)) for lane in range(arch.window)]
        stays = [going_on | (ending & (lane < left)) for lane in range(arch.window)]
        lanes = Cat(row_inside & start & stay for start, stay in zip(starts, stays, strict=True))
        return delayed(m, lanes, unsigned(arch.window), 3, "inside")

    def _rotate(self, m: Module, line: Value) -> list[Value]:
        """Cycle 4: the window's first element to lane 0. One level of two-way multiplexers per offset bit."""
        arch = self._arch
        low, high = clog2(arch.act_granule), clog2(arch.line)
        offset = delayed(m, self.memory_addr[:high], unsigned(high), 3, "offset")
        elements = [line[index] for index in range(arch.line)]
        for bit in range(low, high):
            turned = elements[1 << bit :] + elements[: 1 << bit]
            elements = [Mux(offset[bit], moved, kept) for moved, kept in zip(turned, elements, strict=True)]
        return elements
