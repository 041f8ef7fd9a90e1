# SPDX-License-Identifier: Apache-2.0
"""That the hardware keeps these times is tested with it; here, that the sums are sums of the right things."""

import pytest

from systolith.spec import timing
from systolith.spec.arch import PRESETS, Arch

PRESET = pytest.mark.parametrize("arch", PRESETS.values(), ids=lambda arch: arch.name)


def test_an_array_of_one_cell_takes_a_cell_s_time() -> None:
    arch = Arch(name="a", rows=4, cols=2, psum_spacing=4)
    assert timing.matrix_latency(arch) == timing.CELL_LATENCY + 1
    assert timing.matrix_latency(arch.with_(cols=8)) == timing.CELL_LATENCY + 7
    assert timing.matrix_latency(arch.with_(psum_spacing=1)) == timing.CELL_LATENCY + 4


@pytest.mark.parametrize(("pixels", "length"), [(1, 8), (8, 8), (9, 9)])
def test_a_pass_is_as_long_as_its_windows_or_its_weights(pixels: int, length: int) -> None:
    arch = Arch(name="a", rows=8, cols=2)
    assert timing.pass_cycles(arch, pixels) == length


def test_no_pass_is_shorter_than_the_accumulators_need() -> None:
    assert timing.pass_cycles(PRESETS["tiny"], 1) == timing.MIN_PASS > PRESETS["tiny"].pass_lines


@PRESET
def test_a_store_waits_for_all_steps_of_its_sum(arch: Arch) -> None:
    slower = timing.store_cycles(arch) - timing.store_cycles(arch.with_(lane_cycles=1))
    assert slower == arch.lane_cycles - 1


def test_a_residual_operand_takes_longer() -> None:
    arch = PRESETS["8x8"]
    plain = arch.with_(residual=False)
    assert timing.lanes_after_sum(arch) == timing.lanes_after_sum(plain) + 1
    assert timing.store_cycles(arch) - timing.store_cycles(plain) == (
        1 + timing.lane_latency(arch) - timing.lane_latency(plain)
    )


@PRESET
def test_tables_take_two_cycles_to_every_store(arch: Arch) -> None:
    bare, with_tables = arch.with_(tables=0), arch.with_(tables=1)
    assert timing.table_latency(bare) == 0
    assert timing.store_cycles(with_tables) == timing.store_cycles(bare) + 2
    assert timing.lane_latency(with_tables) == timing.lane_latency(bare)


@PRESET
@pytest.mark.parametrize("vector", [False, True], ids=["matrix", "vector"])
def test_a_drain_is_a_sum_and_its_store(arch: Arch, vector: bool) -> None:
    sums = timing.sum_cycles(arch, vector=vector)
    compute = timing.VECTOR_LATENCY if vector else timing.matrix_latency(arch) + timing.ACCUMULATOR_LATENCY
    assert sums == timing.FETCH_LATENCY + compute
    assert timing.drain_cycles(arch, vector=vector) == sums + timing.store_cycles(arch)


@PRESET
def test_no_last_store_is_further_off_than_the_tail(arch: Arch) -> None:
    """Straight sums are known at their window; a full bank, when its drain begins."""
    straight = [timing.drain_cycles(arch, vector=vector) for vector in (False, True)]
    full = timing.DRAIN_LATENCY + (arch.acc_depth - 1) * arch.lane_cycles + timing.store_cycles(arch)
    assert timing.tail_cycles(arch) == max(*straight, full if arch.buffered else 0)
