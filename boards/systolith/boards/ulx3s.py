# SPDX-License-Identifier: Apache-2.0
"""ULX3S by Radiona: ECP5 in three sizes, 25 MHz oscillator, FT231X serial converter.

Pins: the constraint file ulx3s_v20.lpf of the board's makers (``ftdi_txd`` is the FPGA's input).
"""

from __future__ import annotations

from amaranth.build import Attrs, Clock, Pins, Resource, Subsignal
from amaranth.vendor import LatticePlatform

from systolith.hdl.target import Target

from .board import Board
from .pll import Ecp5Pll

__all__ = ["BOARDS", "Ulx3s25Platform", "Ulx3s85Platform"]

_OSCILLATOR = 25_000_000

_PLL_25 = Ecp5Pll(input_hz=_OSCILLATOR, feedback=2, divider=12)
"""50 MHz, of 72 that the routed 4 x 4 engine could."""

_PLL_85 = Ecp5Pll(input_hz=_OSCILLATOR, reference=2, feedback=3, divider=16)
"""37.5 MHz, of 52 that the routed 8 x 8 engine could."""

_RESOURCES = [
    Resource("clk25", 0, Pins("G2", dir="i"), Clock(_OSCILLATOR), Attrs(IO_TYPE="LVCMOS33")),
    Resource(
        "uart",
        0,
        Subsignal("rx", Pins("M1", dir="i")),
        Subsignal("tx", Pins("L4", dir="o")),
        Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP"),
    ),
    *(
        Resource("led", index, Pins(pin, dir="o"), Attrs(IO_TYPE="LVCMOS33", DRIVE="4"))
        for index, pin in enumerate(["B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3"])
    ),
]


class _Ulx3sPlatform(LatticePlatform):
    package = "BG381"
    speed = "6"
    default_clk = "clk25"
    resources = _RESOURCES
    connectors = ()


class Ulx3s25Platform(_Ulx3sPlatform):
    """The board with an LFE5U-25F."""

    device = "LFE5U-25F"


class Ulx3s85Platform(_Ulx3sPlatform):
    """The board with an LFE5U-85F."""

    device = "LFE5U-85F"


BOARDS = (
    Board(
        name="ulx3s-25f",
        title="ULX3S with LFE5U-25F",
        platform=Ulx3s25Platform,
        target=Target.ECP5,
        oscillator_hz=_OSCILLATOR,
        baud=1_000_000,
        loader="ulx3s",
        pll=_PLL_25,
    ),
    Board(
        name="ulx3s-85f",
        title="ULX3S with LFE5U-85F",
        platform=Ulx3s85Platform,
        target=Target.ECP5,
        oscillator_hz=_OSCILLATOR,
        baud=1_000_000,
        loader="ulx3s",
        pll=_PLL_85,
    ),
)
"""The sizes this tool builds for."""
