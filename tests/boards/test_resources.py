# SPDX-License-Identifier: Apache-2.0
from typing import Any

from systolith.boards.resources import KINDS, block_use, total_use


def _module(**cells: int) -> dict[str, Any]:
    return {"num_cells_by_type": {name.replace("__", "$"): count for name, count in cells.items()}}


STATISTICS = {
    "modules": {
        "\\top": _module(TRELLIS_FF=99, systolith_engine=1),
        "\\systolith_engine": _module(LUT4=2, systolith_compute=1, systolith_fetch=1, systolith_weight_loader=1),
        "\\systolith_compute": _module(LUT4=3, systolith_matrix=1),
        "\\systolith_matrix": _module(systolith_array=1, systolith_skew_2=4),
        "\\systolith_array": _module(systolith_cell_2=6, CCU2C=5),
        "\\systolith_cell_2": _module(MULT18X18D=4, TRELLIS_FF=10, PFUMX=7),
        "\\systolith_skew_2": _module(TRELLIS_FF=8),
        "\\systolith_fetch": _module(SB_LUT4=5, SB_DFFESR=6, SB_DFF=1, SB_CARRY=4),
        "\\systolith_weight_loader": {
            "num_cells_by_type": {"$paramod\\systolith_ram\\WIDTH=8": 3, "SB_SPRAM256KA": 2, "TRELLIS_DPR16X4": 1}
        },
        "$paramod\\systolith_ram\\WIDTH=8": _module(DP16KD=2, PDPW16KD=1, SB_RAM40_4KNR=1),
    }
}


def use(**numbers: int) -> dict[str, int]:
    return dict.fromkeys(KINDS, 0) | numbers


def test_cells_by_block() -> None:
    assert block_use(STATISTICS, "top") == {
        "array": use(lut=10, ff=60, dsp=24),
        "compute": use(lut=3),
        "engine": use(lut=2),
        "fetch": use(lut=5, ff=7),
        "matrix": use(ff=32),
        "weight_loader": use(bram=12, spram=2, lut=4),
    }


def test_total() -> None:
    assert total_use(block_use(STATISTICS, "top")) == use(lut=24, ff=99, dsp=24, bram=12, spram=2)
