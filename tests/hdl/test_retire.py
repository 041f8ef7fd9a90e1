# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.payload import Advance
from systolith.hdl.retire import Retire
from systolith.spec import link
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.fixed import Scaler, requantise, residual_add
from systolith.spec.isa import Walk
from systolith.spec.timing import lanes_after_sum, store_cycles
from tests.support.simulate import simulate

SMALL: dict[str, Any] = {"act_lines": 64, "param_lines": 16}
ARCHES = {
    "every cycle": Arch(name="q1", rows=4, cols=4, act_bits=6, acc_bits=24, **SMALL),
    "every cycle, a table": Arch(name="t1", rows=4, cols=4, act_bits=5, acc_bits=24, tables=1, **SMALL),
    "four steps": PRESETS["4x4"].with_(act_segments=1, tables=0, **SMALL),
    "four steps, tables": PRESETS["4x4"].with_(act_segments=1, tables=4, act_bits=6, dynamic_weights=False, **SMALL),
    "two steps": Arch(name="q2", rows=2, cols=8, psum_spacing=2, lane_cycles=2, act_bits=5, **SMALL),
    "every cycle, to weights": PRESETS["tiny"].with_(lane_cycles=1, tables=0, dynamic_weights=True, **SMALL),
    "two steps, no residual": PRESETS["4x4"].with_(lane_cycles=2, residual=False, **SMALL),
}


class Memories:
    """Activations and parameters, all random."""

    def __init__(self, arch: Arch, rng: random.Random) -> None:
        """Draw."""
        self.arch, self.rng = arch, rng
        self.widths = arch.lane_widths
        half = 1 << (arch.act_bits - 1)
        self.elements = [rng.randrange(-half, half) for _ in range(arch.act_depth)]
        self.params = [[self._parameters() for _ in range(arch.lanes)] for _ in range(arch.param_lines)]
        self.entries = [rng.randrange(-half, half) for _ in range(link.space_lines(link.Space.TABLES, arch))]

    def _parameters(self) -> dict[str, int]:
        reach, mult = 1 << (self.arch.acc_bits - 4), self.widths.mult
        shift = self.arch.acc_bits - self.rng.randint(1, 6)
        multiplier = self.rng.randrange(1 << (mult - 1), 1 << mult)
        return {"bias": self.rng.randrange(-reach, reach), "multiplier": multiplier, "shift": shift}

    def vector(self, address: int) -> list[int]:
        return self.elements[address : address + self.arch.cols]

    def line(self, index: int) -> int:
        """A parameter line's bits."""
        slots = link.param_slots(self.arch)
        share = sum(bits for _, bits in slots.values())
        return sum(
            (lane[name] % (1 << bits)) << (place * share + offset)
            for place, lane in enumerate(self.params[index])
            for name, (offset, bits) in slots.items()
        )


class Case:
    """A descriptor's back section, all random, and what becomes of its sums."""

    def __init__(self, memories: Memories) -> None:
        """Draw."""
        self.memories, self.arch, self.rng = memories, memories.arch, memories.rng
        rng, arch, widths = self.rng, self.arch, memories.widths
        half, one = 1 << (arch.act_bits - 1), 1 << widths.add_post
        zero = rng.randrange(-half, half)
        self.out, self.res = self._walk(), self._walk()
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

        if arch.dynamic_weights:
            self.fields["to_weights"] = rng.randrange(2)
        if arch.tables:
            self.fields["lookup"] = rng.randrange(2)
        if arch.tables > 1:
            self.fields["table"] = rng.randrange(arch.tables)

    def _walk(self) -> Walk:
        return Walk(*(self.rng.randrange(0, self.arch.act_depth, self.arch.cols) for _ in range(4)))

    @property
    def adds(self) -> bool:
        return bool(self.fields.get("residual", 0))

    def pixels(self, advances: list[int]) -> Iterator[tuple[int, int, int]]:
        """Where each pixel is stored, where its operand lies, and its first parameter line."""
        size = self.arch.act_depth
        out, res, line = self.out.base, self.res.base, self.fields["param_base"]
        for advance in advances:
            yield out % size, res % size, line % self.arch.param_lines
            if advance != Advance.END:
                step = {Advance.PIXEL: "x", Advance.ROW: "y", Advance.BLOCK: "block"}[advance]
                out, res = out + getattr(self.out, step), res + getattr(self.res, step)
                line += self.arch.lane_cycles if advance == Advance.BLOCK else 0

    def elements(self, sums: list[int], operands: list[int], line: int) -> list[int]:
        """A sum through the lanes: ``lanes`` channels a parameter line."""
        lines = [self.memories.params[(line + step) % self.arch.param_lines] for step in range(self.arch.lane_cycles)]
        lanes = [lane for parameters in lines for lane in parameters]
        return [self._element(*each) for each in zip(sums, lanes, operands, strict=True)]

    def _element(self, acc: int, lane: dict[str, int], operand: int) -> int:
        fields, scaler, widths = self.fields, Scaler(lane["multiplier"], lane["shift"]), self.memories.widths
        value = requantise(acc + lane["bias"], scaler, fields["lo"], fields["hi"], widths)
        if self.adds:
            other, bounds = operand - fields["res_zero"], (fields["lo_sum"], fields["hi_sum"])
            value = residual_add(value, other, fields["m_own"], fields["m_res"], *bounds, widths)
        return self._stored(value + fields["out_zero"])

    def _stored(self, element: int) -> int:
        if not self.fields.get("lookup"):
            return element
        size = self.arch.table_entries
        return self.memories.entries[self.fields.get("table", 0) * size + element + size // 2]


class Bench:
    """Sums in at random distances, operands three cycles after demand, stores compared in time, place and value."""

    def __init__(self, arch: Arch, seed: int) -> None:
        self.arch, self.rng = arch, random.Random(seed)
        self.memories = Memories(arch, self.rng)
        self.dut = Retire(arch=arch)
        self.stores: dict[int, tuple[int, list[int], bool]] = {}
        self.operands: dict[int, int] = {}
        """The operand reads to come: address by cycle."""
        self.cycle = 0
        self.answers = [self.memories.vector(0)] * 3
        self.coming = (0, 0)
        self.to_weights = 0

    async def load(self, ctx: Any) -> None:
        ctx.set(self.dut.host_write, 1)
        for index in range(self.arch.param_lines):
            ctx.set(self.dut.host_line, index)
            ctx.set(self.dut.host_data, self.memories.line(index))
            await ctx.tick()
        ctx.set(self.dut.host_write, 0)
        for index, entry in enumerate(self.memories.entries):
            ctx.set(self.dut.table_write, 1)
            ctx.set(self.dut.table_line, index)
            ctx.set(self.dut.table_data, entry)
            await ctx.tick()
        if self.arch.tables:
            ctx.set(self.dut.table_write, 0)

    async def tick(self, ctx: Any) -> None:
        dut, rng = self.dut, self.rng
        if self.arch.residual:
            ctx.set(dut.operand_data, self.answers.pop(0))
        self._check(ctx)
        read = ctx.get(dut.operand_addr) if ctx.get(dut.operand_en) else None
        assert read == self.operands.pop(self.cycle, None)
        # who has not asked is shown anything
        address = rng.randrange(0, self.arch.act_depth, self.arch.cols) if read is None else read
        self.answers.append(self.memories.vector(address))
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
        if self.arch.dynamic_weights:
            assert ctx.get(dut.to_weights) == self.to_weights
        data = [ctx.get(dut.store_data[column]) for column in range(self.arch.cols)]
        assert (ctx.get(dut.store_addr), data, ctx.get(dut.finished)) == expected

    async def descriptor(self, ctx: Any) -> None:
        """Twelve pixels, and their stores to the last; the next descriptor starts in the cycle behind it."""
        case, arch, rng, dut = Case(self.memories), self.arch, self.rng, self.dut
        moves = [rng.choice([Advance.PIXEL, Advance.ROW, Advance.BLOCK]) for _ in range(11)]
        advances, reach = [*moves, Advance.END], 1 << (arch.acc_bits - 3)
        ctx.set(dut.fields, case.fields)
        self.to_weights = case.fields.get("to_weights", 0)
        ctx.set(dut.start, 1)
        await self.tick(ctx)
        ctx.set(dut.start, 0)
        for advance, (out, res, line) in zip(advances, case.pixels(advances), strict=True):
            for _ in range(rng.choice([0, 0, 0, 5])):
                await self.tick(ctx)
            sums = [rng.randrange(-reach, reach) for _ in range(arch.cols)]
            ctx.set(dut.sums.valid, 1)
            ctx.set(dut.sums.payload, {"advance": advance, "data": sums})
            if case.adds:
                self.operands[self.cycle + lanes_after_sum(arch) - 1] = res
            data = case.elements(sums, self.memories.vector(res), line)
            self.stores[self.cycle + store_cycles(arch)] = out, data, advance == Advance.END
            for _ in range(arch.lane_cycles):
                await self.tick(ctx)
                ctx.set(dut.sums.valid, 0)
                ctx.set(dut.sums.payload, {"advance": advance, "data": [rng.randrange(-reach, reach)] * arch.cols})
        while self.stores:
            await self.tick(ctx)
        assert not self.operands


def test_attributes() -> None:
    arch = ARCHES["four steps"]
    dut = Retire(arch=arch)
    Fragment.get(dut, None)
    assert len(dut.host_data) == link.line_bits(link.Space.PARAMS, arch)
    assert dut.store_data.shape().length == arch.cols


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize("seed", [1, 2])
def test_sums_are_stored_on_time(name: str, seed: int) -> None:
    bench = Bench(ARCHES[name], seed)

    async def run(ctx: Any) -> None:
        await bench.load(ctx)
        for _ in range(4 if not bench.arch.tables else 6):
            await bench.descriptor(ctx)

    simulate(bench.dut, run)
