# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from systolith.boards.board import BoardError
from systolith.boards.flow import FLOWS
from systolith.boards.physical import DEVICES, find_device, measure
from systolith.boards.resources import total_use
from systolith.boards.tools import MissingTool, find_tool
from systolith.hdl.budget import lane_products
from systolith.hdl.target import Target
from systolith.spec.arch import PRESETS

SHELL_BLOCKS = 4
"""Block RAMs of a board's shell."""

SMALL = PRESETS["tiny"].with_(
    residual=False, pool=False, act_lines=64, weight_lines=64, acc_depth=16, param_lines=16, program_words=64
)


def _needs_tools(*tools: str) -> pytest.MarkDecorator:
    try:
        for tool in tools:
            find_tool(tool)
    except MissingTool as error:
        return pytest.mark.skipif(True, reason=str(error))
    return pytest.mark.skipif(False, reason="")


def _silent(*_: object) -> None:
    """Report to nobody."""


def test_devices_are_of_the_flows_families() -> None:
    assert {device.target for device in DEVICES.values()} == set(FLOWS)
    assert find_device("ice40-up5k").target is Target.ICE40


def test_yosys_is_kept_from_the_engines_multipliers() -> None:
    for device in DEVICES.values():
        assert "-dsp" not in " ".join((device.synthesis, *device.apart))


def test_unknown_device() -> None:
    with pytest.raises(BoardError, match="unknown device 'ecp6'; known: ecp5-85f, ice40-up5k"):
        find_device("ecp6")


@pytest.mark.synth
@pytest.mark.slow
@_needs_tools("yosys")
def test_cells_of_a_small_engine(tmp_path: Path) -> None:
    """The multipliers and the memories are known; logic is somewhere, and the same every time."""
    device = find_device("ecp5-85f")
    first, second = (measure(SMALL, device, tmp_path / name, route=False, progress=_silent) for name in "ab")
    assert first == second
    assert first.fmax_mhz is None
    figures = first.to_json()
    assert figures["dsp"] == SMALL.rows * SMALL.cols + lane_products(SMALL)
    assert first.blocks["array"]["dsp"] == SMALL.rows * SMALL.cols
    assert first.blocks["lanes"]["dsp"] == lane_products(SMALL)
    assert 800 < figures["lut"] < 5000
    assert 500 < figures["ff"] < 3000
    assert min(use["lut"] + use["ff"] for use in first.blocks.values()) > 0


@pytest.mark.synth
@pytest.mark.slow
@_needs_tools("yosys", "nextpnr-ice40")
def test_speed_of_a_small_engine(tmp_path: Path) -> None:
    titles: list[str] = []
    device = find_device("ice40-up5k")
    result = measure(SMALL, device, tmp_path, route=True, progress=lambda title, *_: titles.append(title))
    assert titles == ["elaboration", "synthesis by block", "synthesis", "place and route", "done"]
    assert result.fmax_mhz is not None
    assert 20 < result.fmax_mhz < 80
    assert result.routed is not None
    assert 500 < result.routed["lut"]["used"] < 5280 == result.routed["lut"]["available"]
    assert result.to_json()["dsp"] == result.routed["dsp"]["used"] == 2


PAGE = Path(__file__).parents[2] / "docs" / "physical.md"


def stated(arch: str) -> dict[str, list[int]]:
    """The page's cells by block: LUT, FF, DSP, BRAM."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    header = next(index for index, line in enumerate(lines) if line.startswith("| block |"))
    columns = [cell.strip() for cell in lines[header].split("|")[1:-1]]
    first = columns.index(f"{arch} LUT")
    rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[header + 1 :])
    return {
        row[0]: [int(cell.split("+")[0].replace(",", "")) for cell in row[first : first + 4]]
        for row in rows
        if row[first]
    }


@pytest.mark.synth
@pytest.mark.slow
@_needs_tools("yosys")
@pytest.mark.parametrize("name", ["up5k", "8x8", "16x16"])
def test_the_page_states_these_cells(name: str, tmp_path: Path) -> None:
    """Multipliers and memories exactly; logic within a tenth, since another Yosys makes a little more or less of it."""
    device = find_device("ice40-up5k" if name == "up5k" else "ecp5-85f")
    result = measure(PRESETS[name], device, tmp_path, route=False, progress=_silent)
    page = stated(name)
    assert set(page) == {*result.blocks, "all"}
    for block, use in (result.blocks | {"all": total_use(result.blocks)}).items():
        luts, registers, *others = page[block]
        assert others == [use["dsp"], use["bram"]], block
        assert use["lut"] == pytest.approx(luts, rel=0.1, abs=10), block
        assert use["ff"] == pytest.approx(registers, rel=0.1, abs=10), block
    limits = {"dsp": 8, "bram": 30} if name == "up5k" else {"dsp": 156, "bram": 208}
    assert all(total_use(result.blocks)[kind] <= limit for kind, limit in limits.items())


@pytest.mark.synth
@pytest.mark.slow
@_needs_tools("yosys")
@pytest.mark.parametrize(("name", "blocks"), [("icebreaker", 30), ("ulx3s-25f", 56), ("ulx3s-85f", 208)])
def test_an_engine_leaves_the_shell_its_block_rams(name: str, blocks: int, tmp_path: Path) -> None:
    device = find_device("ice40-up5k" if name == "icebreaker" else "ecp5-85f")
    result = measure(PRESETS[name], device, tmp_path, route=False, progress=_silent)
    assert total_use(result.blocks)["bram"] + SHELL_BLOCKS <= blocks
