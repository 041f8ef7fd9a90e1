# SPDX-License-Identifier: Apache-2.0
"""Depthwise output candidates: which output pixel, if any, a window of the raster completes.

The candidates follow the windows at a fixed distance, the lag, in the same order and the same numbers. As in the nest,
counters run one candidate ahead of what leaves, so that comparisons and their use are in different cycles.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.fields import section_layout
from systolith.hdl.outline import outlined
from systolith.hdl.payload import Advance
from systolith.spec.arch import Arch
from systolith.spec.isa import SKIP_BITS, Section

__all__ = ["Candidate", "Tracker"]


class Candidate(data.StructLayout):
    """What is known of an output candidate.

    Members: ``emit``: it is an output pixel; ``start``: the first of its pass; ``first``, ``last``: its pass is the
    first, the last of its block; ``final``: its block is the last; ``advance``: the way to the next output pixel;
    ``mask_x``, ``mask_y``: masked tap columns and rows.
    """

    def __init__(self, arch: Arch) -> None:
        """Take the taps of ``arch``."""
        flags = dict.fromkeys(("emit", "start", "first", "last", "final"), unsigned(1))
        super().__init__({**flags, "advance": Advance, "mask_x": arch.tap_cols, "mask_y": arch.tap_rows})


class Tracker(wiring.Component):
    """Follows a depthwise descriptor.

    Members:
        fields: In; the front section, stable from ``start`` on.
        start: In; a descriptor begins.
        step: In; a window is issued.
        candidate: Out; what the next window completes, from one cycle after ``start``; ``emit`` and ``start`` are low
            unless there is a candidate.
        busy: Out; output pixels are left, from one cycle after ``start``.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the widths of ``arch``."""
        self._arch = arch
        super().__init__(
            {
                "fields": In(section_layout(arch, Section.FRONT)),
                "start": In(1),
                "step": In(1),
                "candidate": Out(Candidate(arch)),
                "busy": Out(1),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        here, real = Signal(Candidate(self._arch), name="here"), Signal(name="real")
        lag_ends, closes, load = self._lag(m), Signal(), Signal()
        # the step comes late and must not pass more than this
        at_once, with_step = self.start & (self.fields.lag == 0), real | lag_ends
        m.d.comb += [
            self.candidate.eq(here),
            closes.eq(here.emit & here.last & (here.advance == Advance.END)),
            load.eq(at_once | (self.step & with_step)),
        ]
        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        with m.If(load):
            m.d.sync += real.eq(~closes)
            with m.If(closes):
                m.d.sync += self.busy.eq(0)
        self._follow(m, load, closes, here)
        return m

    def _lag(self, m: Module) -> Value:
        """Whether the windows are ahead of the first candidate for the last time."""
        left, lagging = Signal(len(self.fields.lag)), Signal(name="lagging")
        with m.If(self.start):
            m.d.sync += [left.eq(self.fields.lag), lagging.eq(self.fields.lag != 0)]
        with m.Elif(self.step & lagging):
            m.d.sync += [left.eq(left - 1), lagging.eq(left != 1)]
        return lagging & (left == 1)

    def _follow(self, m: Module, load: Signal, closes: Signal, here: Any) -> None:
        """The counters, and what they say of the candidate to come; none comes after the one that ``closes``.

        ``load`` comes late; it only enables, and the carries are apart from it.
        """
        fields, counts = self.fields, [self.fields[f"loop{level}_count"] for level in (0, 1)]
        x = self._axis(m, "x", load, Const(1, 1), closes, counts[0], fields.last_x, fields.skip_x, fields.mask_x)
        y = self._axis(m, "y", load, x.wraps, closes, counts[1], fields.last_y, fields.skip_y, fields.mask_y)
        passes = self._counter(m, "pass", load, x.wraps & y.wraps, closes, fields.passes)
        blocks = self._counter(m, "block", load, x.wraps & y.wraps & passes.wraps, closes, fields.loop5_count)
        advance = Mux(
            ~x.at_last, Advance.PIXEL, Mux(~y.at_last, Advance.ROW, Mux(blocks.wraps, Advance.END, Advance.BLOCK))
        )
        with m.If(load):
            m.d.sync += [
                here.emit.eq(x.emit & y.emit & ~closes),
                here.start.eq(x.at_first & y.at_first & ~closes),
                here.first.eq(passes.at_first),
                here.last.eq(passes.wraps),
                here.final.eq(blocks.wraps),
                here.advance.eq(advance),
                here.mask_x.eq(x.mask),
                here.mask_y.eq(y.mask),
            ]

    def _counter(self, m: Module, name: str, load: Signal, carry: Any, closes: Signal, last: Any) -> Any:
        """A counter of candidates ahead: ``at_first`` and ``wraps``."""
        ahead = Signal(self._arch.dim_bits, name=f"{name}_ahead")
        state = Signal(data.StructLayout({"at_first": 1, "wraps": 1}), name=f"{name}_state")
        m.d.comb += [state.wraps.eq(ahead == last), state.at_first.eq(ahead == 0)]
        with m.If(load):
            m.d.sync += ahead.eq(Mux(closes | (carry & state.wraps), 0, ahead + carry))
        return state

    def _axis(
        self,
        m: Module,
        name: str,
        load: Signal,
        carry: Any,
        closes: Signal,
        count: Any,
        last: Any,
        skip: Any,
        masks: Any,
    ) -> Any:
        """Column or row of the candidates: which are output pixels, and which taps are masked there."""
        taps = len(masks) // 4
        shape = {"at_first": 1, "at_last": 1, "wraps": 1, "emit": 1, "mask": taps}
        state = Signal(data.StructLayout(shape), name=f"{name}_state")
        ahead, skipped = Signal(self._arch.dim_bits, name=f"{name}_ahead"), Signal(SKIP_BITS, name=f"{name}_skipped")
        beyond = Signal(name=f"{name}_beyond")
        places = [ahead == 0, ahead == 1, ahead + 1 == last, ahead == last]
        parts = [masks[place * taps : (place + 1) * taps] & at.replicate(taps) for place, at in enumerate(places)]
        m.d.comb += [
            state.at_first.eq(places[0]),
            state.at_last.eq(places[3]),
            state.wraps.eq(ahead == count),
            state.emit.eq((skipped == 0) & ~beyond),
            state.mask.eq(parts[0] | parts[1] | parts[2] | parts[3]),
        ]
        with m.If(load):
            m.d.sync += ahead.eq(Mux(closes | (carry & state.wraps), 0, ahead + carry))
            with m.If(carry | closes):
                m.d.sync += [
                    skipped.eq(Mux(closes | state.wraps | (skipped == skip), 0, skipped + 1)),
                    beyond.eq(~closes & ~state.wraps & (beyond | state.at_last)),
                ]
        return state
