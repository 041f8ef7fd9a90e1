# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest

from systolith.hdl.tables import Tables
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.link import Space, space_lines
from systolith.spec.timing import table_latency
from tests.support.simulate import simulate

ARCHES = {
    "one table": PRESETS["tiny"].with_(tables=1),
    "two lanes": PRESETS["tiny"].with_(tables=4, act_bits=5, dynamic_weights=False, lane_cycles=1),
    "eight lanes": PRESETS["8x8"].with_(tables=2, act_bits=4, dynamic_weights=False),
}


def entries_of(arch: Arch, rng: random.Random) -> list[int]:
    half = arch.table_entries // 2
    return [rng.randrange(-half, half) for _ in range(space_lines(Space.TABLES, arch))]


async def load(ctx: Any, dut: Tables, entries: list[int]) -> None:
    ctx.set(dut.host_write, 1)
    for line, entry in enumerate(entries):
        ctx.set(dut.host_line, line)
        ctx.set(dut.host_data, entry)
        await ctx.tick()
    ctx.set(dut.host_write, 0)


@pytest.mark.parametrize("name", ARCHES)
def test_elements_are_replaced_or_passed_on_in_the_same_time(name: str) -> None:
    """Every element in every lane, an element a cycle, by each table and by none."""
    arch, rng = ARCHES[name], random.Random(name)
    dut, entries, latency = Tables(arch=arch), entries_of(arch, rng), table_latency(arch)
    half = arch.table_entries // 2

    async def bench(ctx: Any) -> None:
        await load(ctx, dut, entries)
        for table in [None, *range(arch.tables), None]:
            ctx.set(dut.lookup, int(table is not None))
            ctx.set(dut.table, table or 0)
            lanes = [rng.sample(range(-half, half), 2 * half) for _ in range(arch.lanes)]
            for cycle in range(2 * half + latency):
                if cycle < 2 * half:
                    ctx.set(dut.input, [lane[cycle] for lane in lanes])
                if cycle >= latency:
                    came = [lane[cycle - latency] for lane in lanes]
                    found = [one if table is None else entries[table * 2 * half + half + one] for one in came]
                    assert [ctx.get(dut.output[lane]) for lane in range(arch.lanes)] == found
                await ctx.tick()

    simulate(dut, bench)


def test_an_engine_without_tables_has_no_such_block() -> None:
    with pytest.raises(ValueError, match="arch '16x16' has no tables"):
        Tables(arch=PRESETS["16x16"])
    assert table_latency(PRESETS["16x16"]) == 0
