# SPDX-License-Identifier: Apache-2.0
"""Clock multipliers of the FPGA families: settings as data, checked against the device's limits, and the primitive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import ResetSynchronizer

__all__ = ["Ecp5Pll", "Ice40Pll", "Pll", "add_clock"]

_MHZ = 1_000_000


def _check(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{what} must be in {low:g}..{high:g}, got {value:g}")


class Pll(Protocol):
    """A clock multiplier."""

    @property
    def output_hz(self) -> int:
        """The frequency that comes out."""
        ...

    def add(self, m: Module, port: Any, output: Signal, locked: Signal) -> None:
        """Add the primitive, fed from the oscillator's pin ``port``."""
        ...


@dataclass(frozen=True, kw_only=True)
class Ecp5Pll:
    """EHXPLLL with its output as feedback; its oscillator runs at ``output_hz * divider``, 400..800 MHz."""

    input_hz: int
    feedback: int
    divider: int
    reference: int = 1
    """The input is divided by this first; ``output_hz = input_hz / reference * feedback``."""

    def __post_init__(self) -> None:
        """Check the device's limits; raises ValueError."""
        _check("PLL phase detector (MHz)", self.input_hz / self.reference / _MHZ, 10, 400)
        _check("PLL oscillator (MHz)", self.output_hz * self.divider / _MHZ, 400, 800)

    @property
    def output_hz(self) -> int:
        """The frequency that comes out."""
        return self.input_hz * self.feedback // self.reference

    def add(self, m: Module, port: Any, output: Signal, locked: Signal) -> None:
        """Add the input buffer and the primitive."""
        m.submodules.oscillator = buffer = io.Buffer("i", port)
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{self.input_hz / _MHZ:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self.output_hz / _MHZ:g}",
            # Loop filter as Project Trellis' own calculator sets it for every frequency.
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=self.divider,
            p_CLKOP_CPHASE=self.divider // 2,
            p_CLKOP_FPHASE=0,
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=self.reference,
            p_CLKFB_DIV=self.feedback,
            i_CLKI=buffer.i,
            i_CLKFB=output,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            o_CLKOP=output,
            o_LOCK=locked,
        )


@dataclass(frozen=True, kw_only=True)
class Ice40Pll:
    """SB_PLL40_PAD: its oscillator runs at ``input_hz * feedback``, 533..1066 MHz; divided by ``2 ** divider_log2``."""

    input_hz: int
    feedback: int
    divider_log2: int

    def __post_init__(self) -> None:
        """Check the device's limits; raises ValueError."""
        _check("PLL input (MHz)", self.input_hz / _MHZ, 10, 17)
        _check("PLL oscillator (MHz)", self.input_hz * self.feedback / _MHZ, 533, 1066)
        _check("PLL feedback", self.feedback, 1, 128)
        _check("PLL divider_log2", self.divider_log2, 1, 6)

    @property
    def output_hz(self) -> int:
        """The frequency that comes out."""
        return (self.input_hz * self.feedback) >> self.divider_log2

    def add(self, m: Module, port: Any, output: Signal, locked: Signal) -> None:
        """Add the primitive, which takes the place of the pin's input buffer."""
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(0, 4),
            p_DIVF=Const(self.feedback - 1, 7),
            p_DIVQ=Const(self.divider_log2, 3),
            # The filter setting for phase detector inputs of 10 to 17 MHz.
            p_FILTER_RANGE=Const(1, 3),
            io_PACKAGEPIN=port.io,
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=output,
            o_LOCK=locked,
        )


def add_clock(m: Module, platform: Any, pll: Pll) -> None:
    """Make the ``sync`` domain from the platform's oscillator through ``pll``; in reset until it has locked."""
    output, locked = Signal(name="pll_clk"), Signal(name="pll_locked")
    pll.add(m, platform.request(platform.default_clk, dir="-"), output, locked)
    m.domains += ClockDomain("sync")
    m.d.comb += ClockSignal("sync").eq(output)
    m.submodules.reset = ResetSynchronizer(~locked, domain="sync")
    platform.add_clock_constraint(output, pll.output_hz)
