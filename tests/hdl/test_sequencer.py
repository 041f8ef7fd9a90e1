# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from amaranth.hdl import Fragment
from amaranth.lib import data

from systolith.hdl.payload import Setup
from systolith.hdl.sequencer import READ_CYCLES, Sequencer
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import encode_program
from systolith.spec.isa import (
    FIELDS,
    LINE_WORDS,
    LOOPS,
    Descriptor,
    Loop,
    Op,
    Section,
    Walk,
    descriptor_words,
    layout,
    lead_free,
    section_lines,
)
from tests.support.simulate import simulate

ARCHES = {
    "8x8": PRESETS["8x8"].with_(program_words=512),
    "bare": PRESETS["tiny"].with_(residual=False, pool=False, narrow_weights=False, program_words=512),
    "plain": PRESETS["4x4"].with_(depthwise=False, program_words=512),
}
BARE = ARCHES["bare"]
DESCRIPTORS = 5
RUN = -1
"""The cycle of ``run``."""


def random_descriptor(rng: random.Random, arch: Arch) -> Descriptor:
    loops = tuple(Loop(rng.randint(1, 99), rng.randint(-99, 99), rng.randint(-99, 99)) for _ in range(LOOPS))
    walk = Walk(*(rng.randrange(99) for _ in range(4)))
    return Descriptor(
        op=rng.choice([Op.MATRIX, Op.VECTOR]),
        lead=rng.randrange(lead_free(arch) + 1),
        loops=loops,
        out=walk,
        base=rng.randrange(99),
        lo=-rng.randrange(99),
        work=rng.randrange(99),
        narrow=rng.randrange(3) if arch.narrow_weights else 0,
    )


def field_values(words: Sequence[int], arch: Arch, section: Section) -> dict[str, int]:
    """The raw values of a section's register fields."""
    bits = sum(word << (32 * index) for index, word in enumerate(words))
    slots = layout(arch)
    rows = [row.name for row in FIELDS if row.section == section and slots[row.name].width]
    return {name: bits >> slots[name].offset & ((1 << slots[name].width) - 1) for name in rows}


def registers(ctx: Any, view: data.View) -> dict[str, int]:
    names = [name for name, _ in view.shape()]
    return {name: ctx.get(view[name].as_unsigned() if view[name].shape().signed else view[name]) for name in names}


@dataclass(frozen=True)
class Times:
    """The cycles of a descriptor; cycle 0 is the run's first. What came before it is cycle -1."""

    waits: int
    """All is read: from now on it only waits for ``allowed``."""
    start: int
    issued: int
    """The first cycle in which ``issuing`` is low."""
    back: int
    """``back_start``."""
    finished: int


class Story:
    """What the rest of the engine does in a run, drawn beforehand, and when the sequencer must do what."""

    def __init__(self, arch: Arch, rng: random.Random, windows: Sequence[int], stores: Sequence[int]) -> None:
        """Draw; a descriptor issues for ``windows`` cycles, its last store comes ``stores`` cycles behind."""
        lines = section_lines(arch)
        # the first cycle is that of ``run``, with which the first descriptor begins
        self.allowed = dict(enumerate((rng.random() < 0.5 for _ in range(4000)), start=RUN))
        self.times: list[Times] = []
        waits, back, before = RUN, RUN, Times(0, 0, 0, 0, RUN)
        for index in range(DESCRIPTORS):
            start = next(cycle for cycle in range(waits, len(self.allowed)) if self.allowed[cycle]) + 1
            start = start if index else RUN
            issued = start + rng.choice(windows)
            finished = max(issued, back) + rng.choice(stores)
            before = Times(waits, start, issued, back, finished)
            self.times.append(before)
            ahead = start + 1 + lines[Section.HEAD] + lines[Section.STEPS]
            complete = max(ahead, back) + lines[Section.BACK]
            waits, back = max(complete, issued) + lines[Section.FRONT], max(complete, finished) + 1
        self.ended = start + 1 + lines[Section.HEAD] + 1
        self.last = max(self.ended, before.finished)
        """The last cycle of the run."""

    def descriptor(self, cycle: int, first: str, behind: str) -> int | None:
        """The descriptor whose time ``first`` has come and ``behind`` has not passed."""
        found = [i for i, one in enumerate(self.times) if getattr(one, first) <= cycle <= getattr(one, behind)]
        return found[0] if found else None

    def waiting(self, cycle: int) -> bool:
        """Whether nothing is left to be issued before stores are made."""
        begins = any(one.waits <= cycle < one.start - 1 for one in self.times)
        return begins or self.ended <= cycle <= self.last


class Bench:
    """Loads a program, plays a story, and looks at everything in every cycle."""

    def __init__(self, arch: Arch, seed: int) -> None:
        self.arch, self.rng, self.dut = arch, random.Random(seed), Sequencer(arch=arch)
        self.steps: list[dict[int, int]] = [{}, {}]
        self.draw()

    def draw(self) -> None:
        """Another program."""
        self.descriptors = [random_descriptor(self.rng, self.arch) for _ in range(DESCRIPTORS)]
        self.words = encode_program(self.descriptors, self.arch)

    async def tick(self, ctx: Any) -> None:
        dut = self.dut
        if ctx.get(dut.step_write):
            self.steps[1 - ctx.get(dut.bank)][ctx.get(dut.step_loop)] = ctx.get(dut.step_data)
        await ctx.tick()

    async def load(self, ctx: Any) -> None:
        ctx.set(self.dut.host_write, 1)
        ctx.set(self.dut.touched, 1)
        for line, word in enumerate(self.words):
            ctx.set(self.dut.host_line, line)
            ctx.set(self.dut.host_data, word)
            await self.tick(ctx)
        ctx.set(self.dut.host_write, 0)
        await self.leave(ctx)

    async def leave(self, ctx: Any) -> None:
        """The cycle behind the host's last access, in which that is known."""
        ctx.set(self.dut.touched, 0)
        await self.tick(ctx)

    async def read_ahead(self, ctx: Any, touches: int) -> None:
        """From the rewinding until a run may begin; now and then the host interferes, and all begins anew."""
        # one cycle more to arm the nest
        dut, cycles = self.dut, 1 + READ_CYCLES + sum(section_lines(self.arch).values()) + 1
        head = 1 + READ_CYCLES + section_lines(self.arch)[Section.HEAD]
        for left in range(touches, -1, -1):
            touched = self.rng.choice([0, 1, cycles, self.rng.randrange(cycles)]) if left else -1
            for cycle in range(touched + 1 or cycles):
                ctx.set(dut.touched, cycle == touched)
                assert (ctx.get(dut.running), ctx.get(dut.reload)) == (0, cycle == head)
                assert ctx.get(dut.ready) == (cycle == cycles)
                if cycle > 1:  # in the first, what was begun before the host came may end
                    self.check_setup(ctx, cycle, {cycles - 1})
                if self.arch.narrow_weights and cycle >= head:
                    assert ctx.get(dut.narrow) == self.descriptors[0].narrow
                await self.tick(ctx)
            if left:
                await self.leave(ctx)
        assert (ctx.get(dut.running), ctx.get(dut.ready)) == (0, 1)

    def check_setup(self, ctx: Any, cycle: int, complete: set[int]) -> None:
        """``complete``: the cycles in which the front section has become complete."""
        clear = section_lines(self.arch)[Section.FRONT] - 1
        places = {one - clear: Setup.CLEAR for one in complete} | dict.fromkeys(complete, Setup.ARM)
        places |= {one + 1: Setup.FIRST for one in complete}
        assert ctx.get(self.dut.setup) == places.get(cycle, Setup.NONE)

    def section(self, index: int, section: Section) -> dict[str, int]:
        size = descriptor_words(self.arch)
        return field_values(self.words[index * size : (index + 1) * size], self.arch, section)

    def loop_steps(self, index: int) -> dict[int, int]:
        start = index * descriptor_words(self.arch) + LINE_WORDS * section_lines(self.arch)[Section.HEAD]
        lines = [self.words[start + LINE_WORDS * level :][:LINE_WORDS] for level in range(LOOPS)]
        return {level: low | high << 32 for level, (low, high) in enumerate(lines)}

    async def run(self, ctx: Any, story: Story) -> None:
        dut = self.dut
        for cycle in range(RUN, story.last + 1):
            ctx.set(dut.run, cycle == RUN)
            ctx.set(dut.allowed, story.allowed[cycle])
            ctx.set(dut.issuing, any(one.start <= cycle < one.issued for one in story.times))
            ctx.set(dut.finished, any(one.finished == cycle for one in story.times))
            self.check(ctx, story, cycle)
            await self.tick(ctx)
        ctx.set(dut.finished, 0)

    def check(self, ctx: Any, story: Story, cycle: int) -> None:
        dut = self.dut
        assert (ctx.get(dut.running), ctx.get(dut.ready)) == (cycle > RUN, cycle == RUN)
        assert ctx.get(dut.start) == any(one.start == cycle for one in story.times)
        assert ctx.get(dut.back_start) == any(one.back == cycle > RUN for one in story.times)
        self.check_setup(ctx, cycle, {RUN - 1, *(one.waits for one in story.times[1:])})
        assert ctx.get(dut.waiting) == (story.waiting(cycle) and not ctx.get(dut.start))
        for index, one in enumerate(story.times):
            if one.waits <= cycle < one.start:
                assert ctx.get(dut.lead) == self.descriptors[index].lead
        issuing, storing = story.descriptor(cycle, "start", "issued"), story.descriptor(cycle, "back", "finished")
        if issuing is not None:
            assert registers(ctx, dut.front) == self.section(issuing, Section.FRONT)
            assert self.steps[ctx.get(dut.bank)] == self.loop_steps(issuing)
            assert ctx.get(dut.vector) == (self.descriptors[issuing].op == Op.VECTOR)
        if storing is not None:
            assert registers(ctx, dut.back) == self.section(storing, Section.BACK)


def test_attributes() -> None:
    dut = Sequencer(arch=ARCHES["8x8"])
    Fragment.get(dut, None)
    assert "residual" in dict(dut.back.shape())
    assert "apart" in dict(dut.front.shape())
    assert "loop0_row" not in dict(dut.front.shape())


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize(
    ("windows", "stores"),
    [([1, 2], [1, 2]), ([1, 3], [30, 90]), ([60], [1, 9]), ([1, 20, 60], [1, 20, 60])],
    ids=["short", "late stores", "long", "mixed"],
)
def test_descriptors_follow_each_other_and_end(name: str, windows: list[int], stores: list[int]) -> None:
    """Each is read ahead as far as the one before leaves room, begins when it may, and finds its fields in place."""
    bench = Bench(ARCHES[name], len(stores))

    async def run(ctx: Any) -> None:
        for touches in (0, 3):
            bench.draw()
            await bench.load(ctx)
            await bench.read_ahead(ctx, touches)
            for again in (0, 1, 4):
                await bench.run(ctx, Story(bench.arch, bench.rng, windows, stores))
                await bench.read_ahead(ctx, again)

    simulate(bench.dut, run)


def test_the_host_reads_the_program() -> None:
    bench = Bench(BARE, 2)
    dut = bench.dut

    async def run(ctx: Any) -> None:
        await bench.load(ctx)
        for line, word in enumerate(bench.words):
            ctx.set(dut.host_line, line)
            ctx.set(dut.host_read, 1)
            ctx.set(dut.touched, 1)
            await ctx.tick()
            ctx.set(dut.host_read, 0)
            ctx.set(dut.touched, 0)
            for _ in range(READ_CYCLES):
                await ctx.tick()
                ctx.set(dut.host_line, bench.rng.randrange(len(bench.words)))
            for _ in range(bench.rng.choice([1, 40])):
                assert ctx.get(dut.host_read_data) == word
                await ctx.tick()
        await bench.load(ctx)
        await bench.read_ahead(ctx, 0)
        await bench.run(ctx, Story(bench.arch, bench.rng, [3], [3]))

    simulate(dut, run)
