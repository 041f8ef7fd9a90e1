# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.boards.host.protocol import (
    ANSWER_SYNC,
    FRAME_WORDS,
    REQUEST_SYNC,
    Answer,
    Status,
    checksum,
    pack_answer,
    pack_request,
    unpack_words,
)


def test_checksum_is_the_catalogued_one() -> None:
    # the check value of CRC-16/IBM-3740
    assert checksum(b"123456789") == 0x29B1


def test_layout_of_a_request() -> None:
    frame = pack_request(7, [0x11223344], 3)
    assert frame[:8] == bytes([REQUEST_SYNC, 7, 1, 3, 0x44, 0x33, 0x22, 0x11])
    assert checksum(frame) == 0


def test_layout_of_an_answer() -> None:
    frame = pack_answer(Answer(9, Status.CLOSED, (1, 2)))
    assert frame[:4] == bytes([ANSWER_SYNC, 9, Status.CLOSED, 2])
    assert unpack_words(frame[4:-2]) == (1, 2)
    assert checksum(frame) == 0


def test_sequence_numbers_wrap() -> None:
    assert pack_request(256, [], 0) == pack_request(0, [], 0)


@pytest.mark.parametrize(
    ("words", "expect", "message"),
    [
        (FRAME_WORDS + 1, 0, "a request must have 0..255 words, got 256"),
        (0, FRAME_WORDS + 1, "an answer must have 0..255 words, got 256"),
        (0, -1, "an answer must have 0..255 words, got -1"),
    ],
)
def test_refuses_what_no_frame_holds(words: int, expect: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack_request(0, [0] * words, expect)
