# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.hdl.matrix import TAG_LEAD, Matrix
from systolith.spec.arch import Arch
from systolith.spec.timing import LINE_LATENCY, matrix_latency
from tests.support.passes import Pass, Schedule, draw_blocks, plan
from tests.support.simulate import simulate


def arch_of(rows: int, cols: int, psum_spacing: int, weight_rows: int, **widths: Any) -> Arch:
    return Arch(
        name=f"{rows}x{cols} P{psum_spacing} WL{weight_rows} {widths}",
        rows=rows,
        cols=cols,
        psum_spacing=psum_spacing,
        weight_rows=weight_rows,
        acc_depth=64,
        **({"acc_bits": 48} | widths),
    )


ARCHS = [
    arch_of(2, 2, 2, 1),
    arch_of(4, 4, 4, 1),
    arch_of(4, 2, 1, 1),
    arch_of(8, 4, 4, 4),
    arch_of(8, 2, 2, 2),
    arch_of(4, 8, 2, 1),
    arch_of(4, 4, 2, 2, weight_bits=4),
    arch_of(2, 4, 2, 1, act_bits=16),
    arch_of(4, 2, 4, 2, act_bits=4, weight_bits=2),
]

RASTERS = [arch_of(16, 2, 4, 2), arch_of(16, 4, 1, 1), arch_of(8, 4, 8, 2)]
"""Arrays with 9 taps in three groups, in nine, and with 6 in one."""


def passes_of(arch: Arch, seed: int) -> list[Pass]:
    """Passes of all lengths around the limits of the weights and the accumulators."""
    sizes = [(pixels, 1) for pixels in (1, 3, 4, arch.pass_lines, arch.pass_lines + 1, 5, 2)]
    return [block[0] for block in draw_blocks(arch, seed, sizes)]


def run(arch: Arch, schedule: Schedule, sums: dict[int, list[int]], line_last: int = 0) -> None:
    """Play a schedule; the windows of the cycles of ``sums`` have these, their tags ahead, and no others have any."""
    latency = matrix_latency(arch)
    dut = Matrix(arch=arch)

    def is_pixel(cycle: int) -> bool:
        return bool(cycle in schedule.windows and schedule.windows[cycle].get("dw", {}).get("depthwise"))

    async def bench(ctx: Any) -> None:
        ctx.set(dut.line_last, line_last)
        for cycle in range(-LINE_LATENCY, schedule.cycles + latency):
            for port, payloads in ((dut.windows, schedule.windows), (dut.weights, schedule.weights)):
                ctx.set(port.valid, cycle in payloads)
                if cycle in payloads:
                    ctx.set(port.payload, payloads[cycle])
            ctx.set(dut.coming, is_pixel(cycle + LINE_LATENCY))
            entered = cycle - latency + TAG_LEAD
            assert ctx.get(dut.tags.valid) == (entered in sums)
            if entered in sums:
                tag, names = schedule.windows[entered]["tag"], ("start", "first", "last")
                got = ctx.get(dut.tags.payload)
                assert {name: int(getattr(got, name)) for name in names} == {name: tag[name] for name in names}
                assert got.advance.value == tag["advance"]
            if cycle - latency in sums:
                assert [ctx.get(dut.psums[index]) for index in range(arch.cols)] == sums[cycle - latency]
            await ctx.tick()

    simulate(dut, bench)


@pytest.mark.parametrize("relaxed", [False, True], ids=["dense", "relaxed"])
@pytest.mark.parametrize("arch", ARCHS, ids=lambda arch: arch.name)
def test_every_window_meets_its_pass_s_weights(arch: Arch, relaxed: bool) -> None:
    passes = passes_of(arch, seed=arch.rows)
    schedule = plan(arch, passes, random.Random(arch.cols), relaxed=relaxed)
    rows = [row for item in passes for row in item.sums.tolist()]
    run(arch, schedule, dict(zip(sorted(schedule.windows), rows, strict=True)))


def operands(arch: Arch, line_last: int, windows: list[dict[str, Any]]) -> NDArray[np.int64] | None:
    """What each row gets in each column with the last of a raster's windows, (rows, cols); None if not all is known."""
    window, pixels = windows[-1], [one["data"][: arch.cols] for one in windows]
    taken = np.repeat(np.array(window["data"][: arch.rows])[:, None], arch.cols, axis=1)
    for row in range(arch.tap_rows):
        for place in range(arch.tap_cols):
            back = (arch.tap_rows - 1 - row) * (line_last + 1) + arch.tap_cols - 1 - place
            masked = window["dw"]["mask_x"] >> place & 1 or window["dw"]["mask_y"] >> row & 1
            if not masked and back >= len(pixels):
                return None
            taken[row * arch.tap_cols + place] = window["fill"] if masked else pixels[-1 - back]
    return taken


@pytest.mark.parametrize("relaxed", [False, True], ids=["dense", "relaxed"])
@pytest.mark.parametrize("arch", [*ARCHS[:6], *RASTERS], ids=lambda arch: arch.name)
def test_pixels_of_rasters_meet_them_in_the_column_of_their_channel(arch: Arch, relaxed: bool) -> None:
    """Pixels one after another through several passes, some of which complete an output pixel."""
    rng = random.Random(arch.rows + arch.cols)
    half, line_last = 1 << (arch.act_bits - 1), rng.randint(LINE_LATENCY, 4)
    passes = [block[0] for block in draw_blocks(arch, 3, [(pixels, 1) for pixels in (30, 4, 9, 1, 12)])]
    schedule = plan(arch, passes, rng, relaxed=relaxed)
    weights = [item.weights for item in passes for _ in item.windows]
    sums, seen = {}, []
    for (cycle, window), own in zip(sorted(schedule.windows.items()), weights, strict=True):
        masks = {
            "mask_x": rng.getrandbits(arch.tap_cols) & rng.getrandbits(arch.tap_cols),
            "mask_y": rng.getrandbits(arch.tap_rows) & rng.getrandbits(arch.tap_rows),
        }
        window |= {"fill": rng.randrange(-half, half), "dw": {"depthwise": 1, "emit": 0, **masks}}
        seen.append(window)
        taken = operands(arch, line_last, seen)
        if taken is not None and rng.random() < 0.8:
            window["dw"]["emit"] = 1
            sums[cycle] = (taken * own).sum(axis=0).tolist()
    assert len(sums) > len(seen) / 4
    run(arch, schedule, sums, line_last)
