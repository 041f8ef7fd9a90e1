# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.hdl.array import Array
from systolith.hdl.budget import cell_blocks, lane_products
from systolith.hdl.emit import component_verilog
from systolith.hdl.target import Target
from systolith.spec.arch import PRESETS, Arch


def test_lanes_come_first() -> None:
    arch = PRESETS["16x16"]
    assert lane_products(arch) == 48
    assert lane_products(arch.with_(residual=False)) == 16
    assert sum(cell_blocks(arch, Target.ECP5)) == 156 - 48


@pytest.mark.parametrize(("name", "blocks"), [("4x4", 16), ("8x8", 64), ("16x16", 108), ("32x32", 60)])
def test_the_first_columns_get_what_is_left(name: str, blocks: int) -> None:
    arch = PRESETS[name]
    cells = list(cell_blocks(arch, Target.ECP5))
    assert len(cells) == arch.cols * arch.rows // arch.psum_spacing
    assert sum(cells) == blocks
    assert cells == sorted(cells, reverse=True)


def test_other_targets_do_not_count() -> None:
    arch = PRESETS["16x16"]
    for target in (Target.GENERIC, Target.ICE40):
        assert set(cell_blocks(arch, target)) == {arch.psum_spacing}


def test_an_array_larger_than_the_device_has_both_kinds_of_cells() -> None:
    arch = Arch(name="wide", rows=16, cols=16, psum_spacing=8, residual=False)
    text = component_verilog(Array(arch=arch, target=Target.ECP5), name="array")
    assert sum(cell_blocks(arch, Target.ECP5)) == 140
    # modules of cells with 8, with 4 and without blocks
    assert text.count("MULT18X18D #(") == 8 + 4
    assert text.count("CCU2C #(") == (4 + 8) * 4 * 5
