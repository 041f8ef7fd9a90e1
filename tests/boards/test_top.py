# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace
from typing import Any

import pytest

from systolith.boards.catalogue import BOARDS, find_board
from systolith.boards.icebreaker import IcebreakerPlatform
from systolith.boards.top import BoardTop
from systolith.boards.ulx3s import Ulx3s25Platform, Ulx3s85Platform
from systolith.spec.arch import PRESETS
from tests.support.link_memory import LinkMemory

PINS = {
    IcebreakerPlatform: ("set_io clk12_0__io 35", "set_io uart_0__rx__io 6", "set_io uart_0__tx__io 9"),
    Ulx3s25Platform: ('"clk25_0__io" SITE "G2"', '"uart_0__rx__io" SITE "M1"', '"uart_0__tx__io" SITE "L4"'),
    Ulx3s85Platform: ('"clk25_0__io" SITE "G2"', '"uart_0__rx__io" SITE "M1"', '"uart_0__tx__io" SITE "L4"'),
}


def _files(board: Any) -> dict[str, str]:
    top = BoardTop(board=board, engine=LinkMemory(PRESETS["tiny"]))
    files: dict[str, str] = board.platform().prepare(top, "top").files
    return files


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_pins_and_clock(name: str) -> None:
    board = find_board(name)
    files = _files(board)
    constraints = files.get("top.pcf") or files["top.lpf"]
    for line in PINS[board.platform]:  # type: ignore[index]
        assert line in constraints
    frequency = board.clock_hz / 1e6 if "top.pcf" in files else float(board.clock_hz)
    assert str(frequency) in constraints


@pytest.mark.parametrize(("name", "primitive"), [("icebreaker", "SB_PLL40_PAD"), ("ulx3s-85f", "EHXPLLL")])
def test_pll_only_where_asked_for(name: str, primitive: str) -> None:
    board = find_board(name)
    assert primitive in _files(board)["top.il"]
    assert primitive not in _files(replace(board, pll=None))["top.il"]
