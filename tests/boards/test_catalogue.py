# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.boards.board import BoardError
from systolith.boards.catalogue import BOARDS, find_board
from systolith.boards.shell.uart import MIN_DIVISOR
from systolith.hdl.target import Target


def test_boards_of_the_manual() -> None:
    assert sorted(BOARDS) == ["icebreaker", "ulx3s-25f", "ulx3s-85f"]


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_every_board_is_consistent(name: str) -> None:
    board = find_board(name)
    assert board.name == name
    assert board.arch.name == name
    assert board.divisor >= MIN_DIVISOR
    assert board.baud >= 115_200
    assert board.platform().default_clk_frequency == board.oscillator_hz
    assert (board.target is Target.ICE40) == board.arch.act_single_port


def test_unknown_board_lists_the_known() -> None:
    with pytest.raises(BoardError, match="board 'de10' is unknown; boards: icebreaker, ulx3s-25f, ulx3s-85f"):
        find_board("de10")
