# SPDX-License-Identifier: Apache-2.0
"""A board's top: the shell on the board's pins and clock."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import io

from .board import Board
from .pll import add_clock
from .shell.shell import Shell

__all__ = ["BoardTop"]


class BoardTop(Elaboratable):
    """Pins, clock and the shell.

    Parameters:
        board: the board it is for; its platform must elaborate it.
        engine: the engine, for the board's :attr:`Board.target`.
    """

    def __init__(self, *, board: Board, engine: Any) -> None:
        """Store; the shell checks."""
        self._board = board
        self._shell = Shell(engine=engine, divisor=board.divisor)

    def elaborate(self, platform: Any) -> Module:
        """Add the clock, the shell and a buffer for each pin."""
        m = Module()
        if self._board.pll is not None:
            add_clock(m, platform, self._board.pll)
        m.submodules.shell = shell = self._shell
        uart = platform.request("uart", 0, dir={"rx": "-", "tx": "-"})
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [shell.rx.eq(rx.i), tx.o.eq(shell.tx)]
        for index, signal in enumerate((shell.session, shell.active)):
            m.submodules[f"led{index}"] = led = io.Buffer("o", platform.request("led", index, dir="-"))
            m.d.comb += led.o.eq(signal)
        return m
