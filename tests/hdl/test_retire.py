# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.payload import Advance
from systolith.hdl.retire import Retire
from systolith.spec import link
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.fixed import LaneWidths, Scaler, requantise, residual_add
from systolith.spec.isa import Walk
from systolith.spec.timing import lane_latency, lanes_after_sum
from tests.support.simulate import simulate

SMALL = {"act_lines": 64, "param_lines": 16}
ARCHES = {
    "every cycle": Arch(name="q1", rows=4, cols=4, act_bits=6, acc_bits=24, **SMALL),  # type: ignore[arg-type]
    "four steps": PRESETS["4x4"].with_(act_segments=1, **SMALL),
    "two steps, no residual": PRESETS["4x4"].with_(lane_cycles=2, residual=False, **SMALL),
}


@dataclass
class Case:
    """A descriptor's back section, parameter lines and operands, all random."""

    arch: Arch
    rng: random.Random

    def __post_init__(self) -> None:
        """Draw."""
        rng, arch = self.rng, self.arch
        self.widths = LaneWidths(arch.act_bits, arch.acc_bits)
        half, one = 1 << (arch.act_bits - 1), 1 << self.widths.add_post
        self.memory = [rng.randrange(-half, half) for _ in range(arch.act_depth)]
        self.params = [[self._parameters() for _ in range(arch.lanes)] for _ in range(arch.param_lines)]
        self.out, self.res = self._walk(), self._walk()
        zero = rng.randrange(-half, half)
        self.fields: dict[str, int] = {
            "out_zero": zero,
            "lo": -half - zero,
            "hi": half - 1 - zero,
            "param_base": rng.randrange(arch.param_lines),
            **{f"out_{name}": value for name, value in vars(self.out).items()},
        }
        if arch.residual:
            self.fields |= {
                "residual": rng.randrange(2),
                "res_zero": rng.randrange(-half, half),
                "m_own": rng.randrange(one // 2, one),
                "m_res": rng.randrange(one // 2, one),
                "lo_sum": -half - zero,
                "hi_sum": half - 1 - zero,
                **{f"res_{name}": value for name, value in vars(self.res).items()},
            }

    def _parameters(self) -> dict[str, int]:
        reach, mult = 1 << (self.arch.acc_bits - 4), self.widths.mult
        shift = self.arch.acc_bits - self.rng.randint(1, 6)
        multiplier = self.rng.randrange(1 << (mult - 1), 1 << mult)
        return {"bias": self.rng.randrange(-reach, reach), "multiplier": multiplier, "shift": shift}

    def _walk(self) -> Walk:
        return Walk(*(self.rng.randrange(0, self.arch.act_depth, self.arch.lanes) for _ in range(4)))

    @property
    def adds(self) -> bool:
        return bool(self.fields.get("residual", 0))

    def line(self, index: int) -> int:
        """A parameter line's bits."""
        slots = link.param_slots(self.arch)
        share = sum(bits for _, bits in slots.values())
        return sum(
            (lane[name] % (1 << bits)) << (place * share + offset)
            for place, lane in enumerate(self.params[index])
            for name, (offset, bits) in slots.items()
        )

    def element(self, acc: int, lane: dict[str, int], operand: int) -> int:
        fields, scaler = self.fields, Scaler(lane["multiplier"], lane["shift"])
        value = requantise(acc + lane["bias"], scaler, fields["lo"], fields["hi"], self.widths)
        if self.adds:
            other, bounds = operand - fields["res_zero"], (fields["lo_sum"], fields["hi_sum"])
            value = residual_add(value, other, fields["m_own"], fields["m_res"], *bounds, self.widths)
        return value + fields["out_zero"]


class Bench:
    """Sums in at random distances, operands two cycles after demand, stores compared in time, place and value."""

    def __init__(self, case: Case) -> None:
        self.case, self.arch, self.rng = case, case.arch, case.rng
        self.dut = Retire(arch=case.arch)
        self.stores: dict[int, tuple[int, list[int], bool]] = {}
        self.cycle = 0
        self.answers = [[0] * self.arch.lanes] * 2
        self.coming = (0, 0)

    async def load(self, ctx: Any) -> None:
        ctx.set(self.dut.host_write, 1)
        for index in range(self.arch.param_lines):
            ctx.set(self.dut.host_line, index)
            ctx.set(self.dut.host_data, self.case.line(index))
            await ctx.tick()
        ctx.set(self.dut.host_write, 0)

    async def tick(self, ctx: Any) -> None:
        dut = self.dut
        if self.arch.residual:
            ctx.set(dut.operand_data, self.answers.pop(0))
        self._check(ctx)
        start = ctx.get(dut.operand_addr) if ctx.get(dut.operand_en) else 0
        self.answers.append(self.case.memory[start : start + self.arch.lanes])
        self.coming = (ctx.get(dut.operand_next), ctx.get(dut.store_next))
        await ctx.tick()
        self.cycle += 1

    def _check(self, ctx: Any) -> None:
        dut = self.dut
        assert self.coming == (ctx.get(dut.operand_en), ctx.get(dut.store_en))
        expected = self.stores.pop(self.cycle, None)
        assert ctx.get(dut.store_en) == (expected is not None)
        if expected is None:
            assert not ctx.get(dut.finished)
            return
        data = [ctx.get(dut.store_data[lane]) for lane in range(self.arch.lanes)]
        assert (ctx.get(dut.store_addr), data, ctx.get(dut.finished)) == expected

    def expect(self, sums: list[int], vector: bool, pixel: tuple[int, int], params: int, ends: bool) -> None:
        """The stores that a sum given now leads to; ``pixel`` holds the two walks' addresses."""
        arch, case = self.arch, self.case
        steps = 1 if vector else arch.lane_cycles
        for step in range(steps):
            place, operand = ((base + step * arch.lanes) % arch.act_depth for base in pixel)
            line = case.params[(params + step) % arch.param_lines]
            data = [
                case.element(sums[step * arch.lanes + lane], line[lane], case.memory[operand + lane])
                for lane in range(arch.lanes)
            ]
            when = self.cycle + lanes_after_sum(arch) + lane_latency(arch) + step
            self.stores[when] = place, data, ends and step == steps - 1

    async def descriptor(self, ctx: Any, vector: bool) -> None:
        """Twelve pixels, and their stores to the last."""
        case, arch, rng, dut = self.case, self.arch, self.rng, self.dut
        ctx.set(dut.fields, case.fields)
        ctx.set(dut.start, 1)
        await self.tick(ctx)
        ctx.set(dut.start, 0)
        out, res, params = case.out.base, case.res.base, case.fields["param_base"]
        moves = {Advance.PIXEL: "x", Advance.ROW: "y", Advance.BLOCK: "block"}
        steps, reach = 1 if vector else arch.lane_cycles, 1 << (arch.acc_bits - 3)
        for index in range(12):
            for _ in range(rng.choice([0, 0, 0, 5])):
                await self.tick(ctx)
            advance = Advance.END if index == 11 else rng.choice(list(moves))
            sums = [rng.randrange(-reach, reach) for _ in range(arch.cols)]
            ctx.set(dut.sums.valid, 1)
            ctx.set(dut.sums.payload, {"vector": vector, "advance": advance, "data": sums})
            self.expect(sums, vector, (out, res), params, advance == Advance.END)
            if advance != Advance.END:
                out, res = (out + getattr(case.out, moves[advance])), (res + getattr(case.res, moves[advance]))
                params += steps if advance == Advance.BLOCK else 0
            for _ in range(steps):
                await self.tick(ctx)
                ctx.set(dut.sums.valid, 0)
        while self.stores:
            await self.tick(ctx)


def test_attributes() -> None:
    arch = ARCHES["four steps"]
    dut = Retire(arch=arch)
    Fragment.get(dut, None)
    assert len(dut.host_data) == link.line_bits(link.Space.PARAMS, arch)
    assert dut.store_data.shape().length == arch.lanes


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize("seed", [1, 2])
def test_sums_are_stored_on_time(name: str, seed: int) -> None:
    bench = Bench(Case(ARCHES[name], random.Random(seed)))

    async def run(ctx: Any) -> None:
        await bench.load(ctx)
        for vector in (False, True, False):
            await bench.descriptor(ctx, vector)

    simulate(bench.dut, run)
