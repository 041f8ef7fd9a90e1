# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path
from typing import Any

import pytest

from systolith.spec.arch import PRESETS, Arch, ArchError, load_arch


def test_presets_are_found_by_name() -> None:
    for name, arch in PRESETS.items():
        assert load_arch(name) is arch
        assert arch.name == name


def test_derived_widths_of_an_asymmetric_engine() -> None:
    arch = Arch(name="a", rows=8, cols=4, lane_cycles=2, weight_rows=2, weight_bits=4, act_lines=1024)
    assert (arch.lanes, arch.line, arch.window, arch.banks) == (2, 8, 8, 8)
    assert (arch.product_bits, arch.psum_bits) == (12, 15)
    assert (arch.pass_lines, arch.weight_line_bits, arch.act_line_bits) == (4, 32, 64)
    assert (arch.act_depth, arch.act_addr_bits, arch.coord_bits) == (8192, 13, 14)


def test_weights_are_stored_with_full_width_or_narrow() -> None:
    arch = Arch(name="a", rows=4, cols=4)
    assert arch.stored_weight_bits == (8,)
    assert arch.with_(weight_bits=5).stored_weight_bits == (5,)
    narrow = arch.with_(narrow_weights=True)
    assert narrow.stored_weight_bits == (8, 4, 2)
    assert narrow.weight_line_bits == arch.weight_line_bits


@pytest.mark.parametrize(
    ("rows", "taps"), [(2, (1, 2)), (4, (1, 3)), (8, (2, 3)), (16, (3, 3)), (256, (3, 3))], ids=str
)
def test_taps_that_an_array_can_take(rows: int, taps: tuple[int, int]) -> None:
    arch = Arch(name="a", rows=rows, cols=2, psum_spacing=2)
    assert (arch.tap_rows, arch.tap_cols, arch.taps) == (*taps, taps[0] * taps[1])


def test_accumulators_are_buffered_where_the_lanes_are_slower_than_the_array() -> None:
    arch = Arch(name="a", rows=4, cols=4)
    assert not arch.buffered
    assert arch.with_(lane_cycles=2).buffered


def test_a_window_is_as_wide_as_whoever_looks_at_it() -> None:
    arch = Arch(name="a", rows=2, cols=8, psum_spacing=2)
    assert arch.window == 8
    assert arch.with_(pool=False).window == arch.with_(depthwise=False).window == 8
    assert arch.with_(pool=False, depthwise=False).window == 2


def test_the_hash_is_of_the_hardware_not_of_its_name() -> None:
    arch = PRESETS["tiny"]
    assert arch.with_(name="other").hash == arch.hash
    assert arch.with_(acc_depth=128).hash != arch.hash
    assert arch.with_(tables=4).hash != arch.hash


def test_rows_of_weights_have_addresses_beside_those_of_activations() -> None:
    arch = PRESETS["8x8"].with_(dynamic_weights=False)
    assert (arch.weight_row_bits, arch.store_addr_bits) == (15 + 1, 16)
    assert arch.with_(dynamic_weights=True).store_addr_bits == 17


def test_json_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(PRESETS["8x8"].to_json()))
    assert load_arch(str(file)) == PRESETS["8x8"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 3}, "rows must be a power of two, got 3"),
        ({"rows": 512}, r"rows must be in 2\.\.256, got 512"),
        ({"act_bits": 3}, r"act_bits must be in 4\.\.16, got 3"),
        ({"psum_spacing": 8}, r"psum_spacing must be a divisor of rows \(2\), got 8"),
        ({"weight_rows": 4}, r"weight_rows must be at most psum_spacing \(2\), got 4"),
        ({"narrow_weights": True, "weight_bits": 4}, "weight_bits must be 8 where narrow_weights is true, got 4"),
        (
            {"dynamic_weights": True, "act_bits": 6, "narrow_weights": False},
            "weight_bits must be 6 as act_bits where dyna",
        ),
        ({"lane_cycles": 4}, r"lane_cycles must be a divisor of cols \(2\), got 4"),
        ({"act_granule": 4}, r"act_granule must be at most a line \(2\), got 4"),
        ({"act_segments": 2, "act_lines": 4098}, "act_lines must be a power of two where act_segments is 2, got 4098"),
        ({"act_single_port": True}, "act_single_port must be false in an engine with residual adds, got True"),
        ({"act_segments": 2, "act_lines": 4095}, r"act_lines must be a multiple of act_segments \(2\), got 4095"),
        ({"acc_bits": 16}, "acc_bits must be at least the array's 17 bits, got 16"),
        ({"program_words": 255}, "program_words must be even, got 255"),
        ({"line_depth": 3}, r"line_depth must be in 4\.\.65536, got 3"),
        ({"rows": "2"}, "rows must be of type int, got '2'"),
        ({"pool": 1}, "pool must be of type bool, got 1"),
        ({"tables": 3}, "tables must be 0 or a power of two, got 3"),
        ({"tables": 512}, r"tables must be in 0\.\.256, got 512"),
        ({"tables": 2, "act_bits": 9}, "tables must be 0 where act_bits is more than 8, got 2"),
    ],
)
def test_refusals(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchError, match=message):
        PRESETS["tiny"].with_(**changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "not JSON"),
        ("[1]", "expected a JSON object, got list"),
        ('{"name": "a", "rows": 4, "cols": 4, "colour": 1}', "unknown parameter 'colour'"),
        ('{"name": "a", "rows": 4}', "parameter 'cols' is missing"),
    ],
)
def test_bad_files(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(ArchError, match=message):
        load_arch(str(file))


def test_unknown_name() -> None:
    with pytest.raises(ArchError, match="'nowhere' is neither a file nor a preset; presets: tiny"):
        load_arch("nowhere")
