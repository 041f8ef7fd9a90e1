# SPDX-License-Identifier: Apache-2.0
"""Depthwise output candidates: which output pixel, if any, a window of the raster completes.

The candidates follow the windows at a fixed distance, the lag, in the same order and the same numbers. As in the nest,
what is known of a candidate is known one ahead of what leaves, and counters are at the value that comes next, so that
comparisons and their use are in different cycles.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.fields import section_layout
from systolith.hdl.outline import outlined
from systolith.hdl.payload import Advance, Setup
from systolith.spec.arch import Arch
from systolith.spec.isa import MASK_PLACES, SKIP_BITS, Section

__all__ = ["Candidate", "Tracker"]


class Candidate(data.StructLayout):
    """What is known of an output candidate.

    Members: ``emit``: it is an output pixel; ``start``: the first of its pass; ``begin``: that of its block; ``first``,
    ``last``: its pass is the first, the last of its block; ``final``: its block is the last; ``advance``: the way to
    the next output pixel; ``mask_x``, ``mask_y``: masked tap columns and rows.
    """

    def __init__(self, arch: Arch) -> None:
        """Take the taps of ``arch``."""
        flags = dict.fromkeys(("emit", "start", "begin", "first", "last", "final"), unsigned(1))
        super().__init__({**flags, "advance": Advance, "mask_x": arch.tap_cols, "mask_y": arch.tap_rows})


class Tracker(wiring.Component):
    """Follows a depthwise descriptor.

    Members:
        setup: In; the steps before a descriptor. Only when not ``busy``.
        fields: In; the front section, stable from ``setup`` ARM on. raster: In, likewise; the descriptor is depthwise.
        start: In; it begins, with ``setup`` FIRST or later.
        step: In; a window is issued.
        candidate: Out; what the next window completes, from one cycle after ``start``; ``emit``, ``start`` and
            ``begin`` are low unless there is a candidate.
        busy: Out; output pixels are left, from one cycle after ``start``.
    """

    def __init__(self, *, arch: Arch) -> None:
        """Build for the widths of ``arch``."""
        self._arch = arch
        super().__init__(
            {
                "setup": In(Setup),
                "fields": In(section_layout(arch, Section.FRONT)),
                "raster": In(1),
                "start": In(1),
                "step": In(1),
                "candidate": Out(Candidate(arch)),
                "busy": Out(1),
            }
        )

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        here, closes, load = Signal(Candidate(self._arch), name="here"), Signal(name="closes"), Signal(name="load")
        lagging, follows = self._lag(m, closes)
        moves = (self.setup == Setup.CLEAR) | (self.setup == Setup.ARM) | ((self.setup == Setup.FIRST) & ~lagging)
        m.d.comb += [
            self.candidate.eq(here),
            closes.eq(here.emit & here.last & (here.advance == Advance.END)),
            # the step comes late and must not pass more than this
            load.eq(moves | (self.step & follows)),
        ]
        with m.If(self.start & self.raster):
            m.d.sync += self.busy.eq(1)
        with m.Elif(self.step & closes):
            m.d.sync += self.busy.eq(0)
        self._follow(m, load, closes, here)
        return m

    def _lag(self, m: Module, closes: Signal) -> tuple[Signal, Signal]:
        """Whether the windows are ahead of the first candidate, and whether candidates follow from the next one on."""
        lag = self.fields.lag
        left, lagging, follows = Signal(len(lag)), Signal(name="lagging"), Signal(name="follows")
        with m.If(self.setup == Setup.ARM):
            m.d.sync += [left.eq(lag), lagging.eq(self.raster & (lag != 0)), follows.eq(self.raster & (lag == 1))]
        with m.Elif(self.setup == Setup.FIRST):
            m.d.sync += follows.eq(follows | (self.raster & ~lagging))
        with m.Elif(self.step):
            m.d.sync += [
                left.eq(left - 1),
                lagging.eq(lagging & ~follows),
                follows.eq(Mux(follows, ~closes, lagging & (left == 2))),
            ]
        return lagging, follows

    def _follow(self, m: Module, load: Signal, closes: Signal, here: Any) -> None:
        """The counters, and what they say of the candidate to come; none comes after the one that ``closes``.

        ``load`` comes late; it only enables, and the carries are apart from it.
        """
        fields, counts = self.fields, [self.fields[f"loop{level}_count"] for level in (0, 1)]
        x = self._axis(m, "x", load, Const(1, 1), counts[0], fields.last_x, fields.skip_x, fields.mask_x)
        y = self._axis(m, "y", load, x.wraps, counts[1], fields.last_y, fields.skip_y, fields.mask_y)
        passes, _ = self._counter(m, "pass", load, x.wraps & y.wraps, fields.passes)
        blocks, _ = self._counter(m, "block", load, x.wraps & y.wraps & passes.wraps, fields.loop5_count)
        advance = Mux(
            ~x.at_last, Advance.PIXEL, Mux(~y.at_last, Advance.ROW, Mux(blocks.wraps, Advance.END, Advance.BLOCK))
        )
        # before a descriptor, and in one that is no raster, there is no candidate, though the counters move
        silent = closes | ~self.raster | (self.setup == Setup.CLEAR) | (self.setup == Setup.ARM)
        start = x.at_first & y.at_first & ~silent
        with m.If(load):
            m.d.sync += [
                here.emit.eq(x.emit & y.emit & ~silent),
                here.start.eq(start),
                here.begin.eq(start & passes.at_first),
                here.first.eq(passes.at_first),
                here.last.eq(passes.wraps),
                here.final.eq(blocks.wraps),
                here.advance.eq(advance),
                here.mask_x.eq(x.mask),
                here.mask_y.eq(y.mask),
            ]

    def _counter(self, m: Module, name: str, load: Signal, carry: Any, last: Any) -> tuple[Any, Signal]:
        """A counter, at the value that comes next: that, and whether the one before ``wraps`` and is ``at_first``."""
        coming = Signal(self._arch.dim_bits, name=f"{name}_coming")
        state = Signal(data.StructLayout({"at_first": 1, "wraps": 1}), name=f"{name}_state")
        ends = Signal(name=f"{name}_ends")
        clear = self.setup == Setup.CLEAR
        m.d.comb += ends.eq(coming == last)
        with m.If(load):
            m.d.sync += [
                coming.eq(Mux(clear | (carry & ends), 0, coming + carry)),
                state.wraps.eq(clear | _choose(carry, ends, state.wraps)),
                state.at_first.eq(_choose(carry, state.wraps, state.at_first)),
            ]
        return state, coming

    def _axis(
        self, m: Module, name: str, load: Signal, carry: Any, count: Any, last: Any, skip: Any, masks: Any
    ) -> Any:
        """Column or row of the candidates: which are output pixels, and which taps are masked there."""
        taps = len(masks) // MASK_PLACES
        shape = {"at_first": 1, "at_last": 1, "wraps": 1, "emit": 1, "mask": taps}
        state = Signal(data.StructLayout(shape), name=f"{name}_axis")
        counter, coming = self._counter(m, name, load, carry, count)
        skipped, beyond = Signal(SKIP_BITS, name=f"{name}_skipped"), Signal(name=f"{name}_beyond")
        second, at_last, reaches = (Signal(name=f"{name}_{part}") for part in ("second", "at_last", "reaches"))
        places = [counter.at_first, second, reaches & ~counter.wraps, at_last]
        parts = [masks[place * taps : (place + 1) * taps] & at.replicate(taps) for place, at in enumerate(places)]
        m.d.comb += [
            reaches.eq(coming == last),
            state.at_first.eq(counter.at_first),
            state.at_last.eq(at_last),
            state.wraps.eq(counter.wraps),
            state.emit.eq((skipped == 0) & ~beyond),
            state.mask.eq(parts[0] | parts[1] | parts[2] | parts[3]),
        ]
        resumes = counter.wraps | (skipped == skip)
        with m.If(load):
            m.d.sync += [
                second.eq(_choose(carry, counter.at_first & ~counter.wraps, second)),
                at_last.eq(_choose(carry, reaches, at_last)),
                skipped.eq(Mux(carry & resumes, 0, skipped + carry)),
                beyond.eq(_choose(carry, ~counter.wraps & (beyond | at_last), beyond)),
            ]
        return state


def _choose(which: Value, one: Value, other: Value) -> Value:
    """A multiplexer that synthesis does not take for an enable, which would come late."""
    return (which & one) | (~which & other)
