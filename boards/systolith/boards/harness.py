# SPDX-License-Identifier: Apache-2.0
"""The engine alone, behind few pins: what its speed and its size are measured in.

Every port goes through registers, wide ones through shift registers, so that synthesis can drop nothing and no path
from or to a pin counts.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.engine import Engine
from systolith.hdl.outline import outlined
from systolith.hdl.target import Target
from systolith.spec.arch import Arch

__all__ = ["Harness"]


class Harness(wiring.Component):
    """One pin each way for the words, and the handshakes.

    Members: ``word_in``, ``in_valid``, ``out_ready`` (In), ``word_out``, ``in_ready``, ``out_valid``, ``busy`` (Out).
    """

    def __init__(self, *, arch: Arch, target: Target) -> None:
        """Build; raises ValueError for what the target's primitives cannot do."""
        self._engine = Engine(arch=arch, target=target)
        inputs, outputs = ("word_in", "in_valid", "out_ready"), ("word_out", "in_ready", "out_valid", "busy")
        super().__init__({name: In(1) for name in inputs} | {name: Out(1) for name in outputs})

    @outlined
    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.engine = engine = self._engine
        given, taken = engine.host_in, engine.host_out
        arriving = {name: Signal(name=f"{name}_pin") for name in ("word_in", "in_valid", "out_ready")}
        m.d.sync += [signal.eq(getattr(self, name)) for name, signal in arriving.items()]
        leaving = Signal(len(taken.p.as_value()))
        m.d.sync += [
            given.payload.eq(Cat(arriving["word_in"], given.payload)),
            given.valid.eq(arriving["in_valid"]),
            taken.ready.eq(arriving["out_ready"]),
            leaving.eq(leaving >> 1),
        ]
        with m.If(taken.valid):
            m.d.sync += leaving.eq(taken.p.as_value())
        m.d.sync += [
            self.word_out.eq(leaving[0]),
            self.in_ready.eq(given.ready),
            self.out_valid.eq(taken.valid),
            self.busy.eq(engine.busy),
        ]
        return m
