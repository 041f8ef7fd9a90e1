# SPDX-License-Identifier: Apache-2.0
import random
from collections.abc import Iterable
from typing import Any

import pytest
from amaranth.hdl import Fragment

from systolith.hdl.hostport import HostPort
from systolith.spec import link
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.link import BAD_COMMAND, DONE, Command, Counter, Space
from tests.support.simulate import simulate

ARCHES = {
    "tiny": PRESETS["tiny"].with_(tables=0),
    "wide": PRESETS["8x8"].with_(act_lines=64, act_segments=1, weight_lines=64),
    "tables": PRESETS["tiny"].with_(tables=4, act_bits=7, dynamic_weights=False),
    "odd": Arch(name="odd", rows=4, cols=2, psum_spacing=4, act_bits=6, weight_bits=5, acc_bits=17, act_lines=64),
}
WRITABLE = (Space.PROGRAM, Space.WEIGHTS, Space.PARAMS, Space.ACTIVATIONS, Space.TABLES)
RUN_CYCLES = 9


def writable(arch: Arch) -> tuple[Space, ...]:
    return tuple(space for space in WRITABLE if space in link.spaces(arch))


class Bench:
    """The words in and out with random pauses, and memories that answer as the engine's do."""

    def __init__(self, dut: HostPort, arch: Arch, rng: random.Random, pause: float) -> None:
        self.dut, self.arch, self.rng, self.pause = dut, arch, rng, pause
        self.memories: dict[Space, dict[int, int]] = {space: {} for space in Space}
        self.memories[Space.COUNTERS] = {counter: 100 + counter for counter in Counter}
        self.answers: list[tuple[int, int]] = []
        self.accepted_in_run = self.sent = 0
        self.sent_at_run: list[int] = []
        """Words that were taken when a run began."""

    async def send(self, ctx: Any, words: Iterable[int]) -> None:
        for word in words:
            while self.rng.random() < self.pause:
                await ctx.tick()
            ctx.set(self.dut.host_in.payload, word)
            ctx.set(self.dut.host_in.valid, 1)
            await ctx.tick().until(self.dut.host_in.ready)
            self.sent += 1
            ctx.set(self.dut.host_in.valid, 0)

    async def receive(self, ctx: Any) -> None:
        held = None
        while True:
            ready = int(self.rng.random() >= self.pause)
            ctx.set(self.dut.host_out.ready, ready)
            _, _, valid, payload = await ctx.tick().sample(self.dut.host_out.valid, self.dut.host_out.payload)
            word = (payload.data, payload.last)
            assert held is None or (valid, word) == (1, held), "an offered word must stay until it is taken"
            held = word if valid and not ready else None
            if valid and ready:
                self.answers.append(word)

    async def serve(self, ctx: Any) -> None:
        dut = self.dut
        mine = writable(self.arch)
        strobes = [getattr(dut, f"write_{space.name.lower()}") for space in mine]
        lines = [getattr(dut, f"data_{space.name.lower()}") for space in mine]
        latest, next_to_latest = dict.fromkeys(Space, 0), dict.fromkeys(Space, 0)
        while True:
            _, _, line, read, *rest = await ctx.tick().sample(dut.line, dut.read, *strobes, *lines)
            for space, write, value in zip(mine, rest[: len(mine)], rest[len(mine) :], strict=True):
                if write:
                    self.memories[space][line % link.space_lines(space, self.arch)] = value
            for space in (Space.PROGRAM, Space.ACTIVATIONS, Space.COUNTERS):
                # the answer comes in the third cycle after the request, the program's in the second
                value = getattr(dut, f"value_{space.name.lower()}")
                ctx.set(value, (latest if space is Space.PROGRAM else next_to_latest)[space])
                next_to_latest[space] = latest[space]
                if read:
                    latest[space] = self.memories[space].get(line % link.space_lines(space, self.arch), 0)

    async def run(self, ctx: Any) -> None:
        dut, before = self.dut, 0
        while True:
            ctx.set(dut.ready, ready := int(self.rng.random() < 0.1))
            _, _, run = await ctx.tick().sample(dut.run)
            if not run:
                before = ready
                continue
            assert before
            self.sent_at_run.append(self.sent)
            ctx.set(dut.ready, 0)
            ctx.set(dut.running, 1)
            for _ in range(RUN_CYCLES):
                _, _, ready = await ctx.tick().sample(dut.host_in.ready)
                self.accepted_in_run += ready
            ctx.set(dut.running, 0)


def exchange(arch: Arch, words: list[int], answers: int, *, seed: int = 0, pause: float = 0.0) -> Bench:
    """Send all words, wait for the given number of answer words and a while longer."""
    dut = HostPort(arch=arch)
    bench = Bench(dut, arch, random.Random(seed), pause)

    async def drive(ctx: Any) -> None:
        await bench.send(ctx, words)
        for _ in range(200 + 60 * answers):
            await ctx.tick()
            if len(bench.answers) >= answers:
                break
        await ctx.tick().repeat(20)

    simulate(dut, drive, background=(bench.receive, bench.serve, bench.run))
    return bench


def random_line(rng: random.Random, space: Space, arch: Arch) -> int:
    return rng.getrandbits(link.line_bits(space, arch))


def words_of(value: int, space: Space, arch: Arch) -> list[int]:
    return [(value >> (32 * index)) & 0xFFFF_FFFF for index in range(link.line_words(space, arch))]


def test_attributes() -> None:
    arch = ARCHES["odd"]
    dut = HostPort(arch=arch)
    Fragment.get(dut, None)
    assert len(dut.data_activations) == arch.act_line_bits
    assert len(dut.data_weights) == arch.weight_line_bits


@pytest.mark.parametrize("name", ARCHES)
@pytest.mark.parametrize(("seed", "pause"), [(1, 0.0), (2, 0.4)])
def test_writes_and_reads_lines(name: str, seed: int, pause: float) -> None:
    arch, rng = ARCHES[name], random.Random(seed)
    words: list[int] = []
    expected: dict[Space, dict[int, int]] = {space: {} for space in WRITABLE}
    for space in 2 * writable(arch):
        start, count = rng.randrange(20), rng.randint(1, 4)
        words += link.write_command(space, start, count)
        for line in range(start, start + count):
            expected[space][line] = random_line(rng, space, arch)
            words += words_of(expected[space][line], space, arch)
    answers: list[tuple[int, int]] = []
    for space in (Space.ACTIVATIONS, Space.PROGRAM):
        words += link.read_command(space, 0, 24)
        for line in range(24):
            answers += [(word, 0) for word in words_of(expected[space].get(line, 0), space, arch)]
        answers[-1] = (answers[-1][0], 1)
    bench = exchange(arch, words, len(answers), seed=seed, pause=pause)
    assert {space: bench.memories[space] for space in WRITABLE} == expected
    assert bench.answers == answers


def test_reads_counters_and_identity() -> None:
    arch = ARCHES["tiny"]
    words = [*link.read_command(Space.COUNTERS, 0, len(Counter)), *link.read_command(Space.IDENT, 0, link.IDENT_LINES)]
    bench = exchange(arch, words, len(Counter) + link.IDENT_LINES)
    counters = [(100 + counter, int(counter == max(Counter))) for counter in Counter]
    assert bench.answers == [*counters, (link.MAGIC, 0), (arch.hash, 1)]


def test_a_run_is_answered_when_it_ends_and_takes_no_words() -> None:
    words = [*link.run_command(), *link.read_command(Space.IDENT, 0, 1), *link.run_command()]
    bench = exchange(ARCHES["tiny"], words, 3, seed=5, pause=0.2)
    assert bench.answers == [(DONE, 1), (link.MAGIC, 1), (DONE, 1)]
    assert bench.accepted_in_run == 0
    assert bench.sent_at_run == [1, 4]


@pytest.mark.parametrize(
    "bad",
    [
        0,
        0xFFFF_FFFF,
        Command.WRITE << 28 | Space.COUNTERS << 24,
        Command.WRITE << 28 | Space.IDENT << 24,
        Command.WRITE << 28 | Space.TABLES << 24,
        Command.WRITE << 28 | 9 << 24,
        Command.READ << 28 | Space.WEIGHTS << 24,
        Command.READ << 28 | Space.PARAMS << 24,
        Command.READ << 28 | 11 << 24,
        Command.RUN << 28 | Space.WEIGHTS << 24,
        4 << 28,
    ],
)
def test_refuses_what_is_no_command(bad: int) -> None:
    bench = exchange(ARCHES["tiny"], [bad, *link.read_command(Space.IDENT, 1, 1)], 2)
    assert bench.answers == [(BAD_COMMAND, 1), (ARCHES["tiny"].hash, 1)]


@pytest.mark.parametrize("command", [Command.WRITE, Command.READ])
def test_a_count_of_zero_does_nothing(command: Command) -> None:
    words = [link.header(command, Space.PROGRAM, 3), 0, *link.read_command(Space.IDENT, 0, 1)]
    bench = exchange(ARCHES["tiny"], words, 1)
    assert bench.answers == [(link.MAGIC, 1)]
    assert bench.memories[Space.PROGRAM] == {}
