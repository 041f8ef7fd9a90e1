# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest

from systolith.boards.board import BoardError
from systolith.boards.catalogue import find_board
from systolith.spec.arch import PRESETS


def test_clock_and_divisor() -> None:
    board = find_board("ulx3s-25f")
    assert board.clock_hz == 50_000_000
    assert board.divisor == 50
    plain = replace(board, pll=None)
    assert plain.clock_hz == 25_000_000
    assert plain.divisor == 25


def test_preset_has_the_boards_name() -> None:
    assert find_board("icebreaker").arch is PRESETS["icebreaker"]


def test_refuses_a_baud_rate_the_clock_cannot_make() -> None:
    with pytest.raises(BoardError, match="3000000 baud is not within 2% of 25000000 Hz divided by 8"):
        replace(find_board("ulx3s-25f"), pll=None, baud=3_000_000)
