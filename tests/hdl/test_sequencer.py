# SPDX-License-Identifier: Apache-2.0
import random
from typing import Any

import pytest
from amaranth.hdl import Fragment
from amaranth.lib import data

from systolith.hdl.sequencer import Sequencer
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.isa import FIELDS, LOOPS, Descriptor, Loop, Op, Section, Walk, encode_program, layout, section_words
from tests.support.simulate import simulate

ARCH = PRESETS["8x8"].with_(program_words=256)
BARE = PRESETS["tiny"].with_(residual=False, pool=False, program_words=256)


def random_descriptor(rng: random.Random, arch: Arch) -> Descriptor:
    loops = tuple(Loop(rng.randint(1, 99), rng.randint(-99, 99), rng.randint(-99, 99)) for _ in range(LOOPS))
    walk = Walk(*(rng.randrange(99) for _ in range(4)))
    return Descriptor(
        op=Op.MATRIX, loops=loops, out=walk, base=rng.randrange(99), lo=-rng.randrange(99), work=rng.randrange(99)
    )


def field_values(words: list[int], arch: Arch, section: Section) -> dict[str, int]:
    """The raw values of a section's register fields."""
    bits = sum(word << (32 * index) for index, word in enumerate(words))
    slots = layout(arch)
    rows = [row.name for row in FIELDS if row.section == section and not row.aligned and slots[row.name].width]
    return {name: bits >> slots[name].offset & ((1 << slots[name].width) - 1) for name in rows}


def registers(ctx: Any, view: data.View) -> dict[str, int]:
    names = [name for name, _ in view.shape()]
    return {name: ctx.get(view[name].as_unsigned() if view[name].shape().signed else view[name]) for name in names}


class Engine:
    """The rest of the engine: fetches for some cycles, drains for some more, and takes note of the loop steps."""

    def __init__(self, dut: Sequencer, arch: Arch) -> None:
        self.dut, self.arch = dut, arch
        self.steps: dict[int, int] = {}
        self.cycle = 0

    async def load(self, ctx: Any, words: list[int]) -> None:
        ctx.set(self.dut.host_write, 1)
        for line, word in enumerate(words):
            ctx.set(self.dut.host_line, line)
            ctx.set(self.dut.host_data, word)
            await ctx.tick()
        ctx.set(self.dut.host_write, 0)

    async def tick(self, ctx: Any) -> None:
        if ctx.get(self.dut.step_write):
            self.steps[ctx.get(self.dut.step_number)] = ctx.get(self.dut.step_data)
        await ctx.tick()
        self.cycle += 1

    async def start(self, ctx: Any) -> None:
        ctx.set(self.dut.run, 1)
        await self.tick(ctx)
        ctx.set(self.dut.run, 0)
        self.cycle = 0

    async def until_start(self, ctx: Any) -> None:
        while not ctx.get(self.dut.start):
            assert ctx.get(self.dut.running)
            await self.tick(ctx)

    async def execute(self, ctx: Any, fetch: int, drain: int) -> None:
        """From a start to the cycle of the last store; the first ``fetch`` cycles need the front section."""
        front = registers(ctx, self.dut.front)
        for cycle in range(fetch + drain):
            ctx.set(self.dut.fetching, cycle < fetch)
            assert cycle >= fetch or registers(ctx, self.dut.front) == front
            await self.tick(ctx)
            assert ctx.get(self.dut.draining)
        ctx.set(self.dut.finished, 1)


def check_fields(ctx: Any, engine: Engine, words: list[int]) -> None:
    """The registers and the loop steps are those of the descriptor in ``words``."""
    arch, dut, slots = engine.arch, engine.dut, layout(engine.arch)
    assert registers(ctx, dut.front) == field_values(words, arch, Section.FRONT)
    assert registers(ctx, dut.back) == field_values(words, arch, Section.BACK)
    for level in range(LOOPS):
        for axis, name in enumerate(("row", "col")):
            assert engine.steps[2 * level + axis] == words[slots[f"loop{level}_{name}"].offset // 32]


def test_attributes() -> None:
    dut = Sequencer(arch=ARCH)
    Fragment.get(dut, None)
    assert "apart" in dict(dut.back.shape())
    assert "loop0_row" not in dict(dut.front.shape())


@pytest.mark.parametrize("arch", [ARCH, BARE], ids=["8x8", "bare"])
@pytest.mark.parametrize(("fetch", "drain"), [(3, 30), (9, 1), (1, 14)])
def test_descriptors_follow_each_other_and_end(arch: Arch, fetch: int, drain: int) -> None:
    rng = random.Random(fetch)
    dut = Sequencer(arch=arch)
    engine = Engine(dut, arch)
    program = encode_program([random_descriptor(rng, arch) for _ in range(3)], arch)
    front, back = section_words(arch)

    async def bench(ctx: Any) -> None:
        await engine.load(ctx, program)
        for _ in range(2):
            await engine.start(ctx)
            began = front + back
            for index in range(3):
                await engine.until_start(ctx)
                assert engine.cycle == began
                check_fields(ctx, engine, program[index * (front + back) : (index + 1) * (front + back)])
                await engine.execute(ctx, fetch, drain)
                # the front section from the cycle after the fetch's last, the back section from the last store's on
                began = max(began + fetch + 1 + front, engine.cycle) + back
                await engine.tick(ctx)
                ctx.set(dut.finished, 0)
            while ctx.get(dut.running):
                await engine.tick(ctx)

    simulate(dut, bench)


def test_the_run_ends_with_the_last_store() -> None:
    dut = Sequencer(arch=BARE)
    engine = Engine(dut, BARE)

    async def bench(ctx: Any) -> None:
        await engine.load(ctx, encode_program([random_descriptor(random.Random(1), BARE)], BARE))
        await engine.start(ctx)
        await engine.until_start(ctx)
        await engine.execute(ctx, 2, 20)
        assert ctx.get(dut.running)
        await engine.tick(ctx)
        assert not ctx.get(dut.running)
        assert not ctx.get(dut.draining)

    simulate(dut, bench)


def test_the_host_reads_the_program() -> None:
    dut = Sequencer(arch=BARE)
    words = [random.Random(2).getrandbits(32) for _ in range(20)]

    async def bench(ctx: Any) -> None:
        await Engine(dut, BARE).load(ctx, words)
        for line, word in enumerate(words):
            ctx.set(dut.host_line, line)
            ctx.set(dut.host_read, 1)
            await ctx.tick()
            ctx.set(dut.host_read, 0)
            assert ctx.get(dut.host_read_data) == word

    simulate(dut, bench)
