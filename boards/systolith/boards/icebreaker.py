# SPDX-License-Identifier: Apache-2.0
"""iCEBreaker by 1BitSquared: iCE40UP5K, 12 MHz oscillator, FT2232H serial converter.

Pins: the board's constraint file icebreaker.pcf.
"""

from __future__ import annotations

from amaranth.build import Attrs, Clock, Pins, PinsN, Resource, Subsignal
from amaranth.vendor import SiliconBluePlatform

from systolith.hdl.target import Target

from .board import Board
from .pll import Ice40Pll

__all__ = ["BOARDS", "IcebreakerPlatform"]

_OSCILLATOR = 12_000_000

_PLL = Ice40Pll(input_hz=_OSCILLATOR, feedback=80, divider_log2=6)
"""15 MHz."""


class IcebreakerPlatform(SiliconBluePlatform):
    """The board."""

    device = "iCE40UP5K"
    package = "SG48"
    default_clk = "clk12"
    resources = (
        Resource("clk12", 0, Pins("35", dir="i"), Clock(_OSCILLATOR), Attrs(IO_STANDARD="SB_LVCMOS")),
        Resource(
            "uart",
            0,
            Subsignal("rx", Pins("6", dir="i")),
            Subsignal("tx", Pins("9", dir="o")),
            Attrs(IO_STANDARD="SB_LVCMOS", PULLUP=1),
        ),
        Resource("led", 0, PinsN("11", dir="o"), Attrs(IO_STANDARD="SB_LVCMOS")),
        Resource("led", 1, PinsN("37", dir="o"), Attrs(IO_STANDARD="SB_LVCMOS")),
    )
    connectors = ()


BOARDS = (
    Board(
        name="icebreaker",
        title="iCEBreaker with iCE40UP5K",
        platform=IcebreakerPlatform,
        target=Target.ICE40,
        oscillator_hz=_OSCILLATOR,
        baud=1_000_000,
        loader="ice40_generic",
        pll=_PLL,
    ),
)
"""The one this tool builds for."""
