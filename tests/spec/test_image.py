# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
import zlib
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from systolith.spec.arch import PRESETS
from systolith.spec.image import ImageError, LayerInfo, Program, TensorMap, load_program, save_program
from systolith.spec.link import Space

MAP = TensorMap(
    name="x",
    base=0,
    height=2,
    width=3,
    channels=1,
    channel_pitch=1,
    row_pitch=3,
    shape=(1, 1, 2, 3),
    scale=0.5,
    zero_point=3,
)
LAYER = LayerInfo(name="n", kind="Conv+Relu", first=0, count=1, macs=12, output=MAP, weight_bytes=4)


SEGMENTS = {Space.PROGRAM: array("I", [0]), Space.WEIGHTS: array("I", [1, 0xFFFF_FFFF])}


def program(segments: dict[Space, array[int]] = SEGMENTS) -> Program:
    return Program(
        name="p",
        arch=PRESETS["tiny"],
        segments=segments,
        inputs=(MAP,),
        outputs=(MAP,),
        layers=(LAYER,),
        host_tail={"y": ("Softmax",)},
        notes={"a": 1},
    )


def test_file_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "program.slp"
    save_program(program(), file)
    assert load_program(file) == program()
    assert [path.name for path in tmp_path.iterdir()] == ["program.slp"]


def test_blocks_come_back_as_they_were(tmp_path: Path) -> None:
    blocked = replace(program(), inputs=(replace(MAP, block=(2, 1), channel_pitch=2, row_pitch=6),))
    save_program(blocked, tmp_path / "program.slp")
    assert load_program(tmp_path / "program.slp") == blocked


def test_elements_count_the_padding() -> None:
    assert MAP.elements == 6
    assert replace(MAP, channel_pitch=2, row_pitch=1).elements == 6
    assert replace(MAP, row_pitch=4).elements == 8
    assert replace(MAP, block=(2, 2), channel_pitch=4, row_pitch=8).elements == 8


def test_tables_are_a_segment_like_the_others(tmp_path: Path) -> None:
    whole = program(segments={**SEGMENTS, Space.TABLES: array("I", range(2 * 256))})
    save_program(whole, tmp_path / "program.slp")
    assert load_program(tmp_path / "program.slp").segments == whole.segments
    with pytest.raises(ImageError, match="segment TABLES: 513 lines, the architecture tiny has 512"):
        program(segments={Space.TABLES: array("I", [0] * 513)})
    with pytest.raises(ImageError, match="segment TABLES: 1 lines, the architecture 16x16 has 0"):
        replace(program(), arch=PRESETS["16x16"], segments={Space.TABLES: array("I", [0])})


def test_half_lines_are_refused() -> None:
    with pytest.raises(ImageError, match="segment PARAMS: 1 words are not whole lines of 2"):
        program(segments={Space.PARAMS: array("I", [1])})


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(ImageError, match="segment PROGRAM: 1025 lines, the architecture tiny has 1024"):
        program(segments={Space.PROGRAM: array("I", [0] * 1025)})


def test_another_engine_is_refused() -> None:
    program().check_arch(PRESETS["tiny"].hash)
    with pytest.raises(ImageError, match="compiled for arch 'tiny' .* this engine has hash 00000007; compile it again"):
        program().check_arch(7)


def corrupt(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


def test_damage_is_found_wherever_it_is(tmp_path: Path) -> None:
    file = tmp_path / "program.slp"
    save_program(program(), file)
    data = file.read_bytes()
    for offset in range(0, len(data), 7):
        file.write_bytes(corrupt(data, offset))
        with pytest.raises(ImageError, match="program.slp: "):
            load_program(file)
    for length in range(0, len(data), 11):
        file.write_bytes(data[:length])
        with pytest.raises(ImageError, match="program.slp: "):
            load_program(file)


def test_a_header_that_lies_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "program.slp"
    save_program(program(), file)
    data = file.read_bytes()
    body = data[20:].replace(b'"acc_depth": 64', b'"acc_depth": 65')
    mark, version, length, _ = struct.unpack("<8sIII", data[:20])
    file.write_bytes(struct.pack("<8sIII", mark, version, length, zlib.crc32(body)) + body)
    with pytest.raises(ImageError, match="does not belong to the arch in the file"):
        load_program(file)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none.slp: cannot be read \(No such file or directory\)"):
        load_program(tmp_path / "none.slp")
