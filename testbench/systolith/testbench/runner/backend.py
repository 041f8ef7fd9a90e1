# SPDX-License-Identifier: Apache-2.0
"""The simulated RTL as a back end: whole inferences, many in one simulator session."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.runtime import (
    RunResult,
    Stores,
    inference_words,
    load_words,
    parse_response,
    response_count,
)
from systolith.spec import link
from systolith.spec.arch import Arch
from systolith.spec.image import Program
from systolith.spec.link import IDENT_LINES, Space
from systolith.testbench.bound import cycle_bound
from systolith.testbench.job import LinkJob, LinkLog, StoreLog
from systolith.testbench.pauses import Pauses

from .engine import engine_design
from .errors import SimulationError
from .monitored import monitored_design
from .session import Session

__all__ = ["Observation", "RtlSimulator"]

Ints = NDArray[np.int64]
Case = tuple[Program, Sequence[Mapping[str, Ints]]]
"""A program and its inputs."""


@dataclass(frozen=True)
class Observation:
    """One inference as the simulator saw it."""

    result: RunResult
    stores: StoreLog | None
    """Every store with its cycle, counted from the start of the simulation; None where it was not recorded."""


def _no_progress(done: int, total: int) -> None:
    """Report to nobody."""


class RtlSimulator:
    """A :class:`~systolith.compiler.runtime.Backend`: the engine of an Arch in a simulator.

    Every :meth:`run` is one simulator session from power-up: identity read back, program loaded, then one inference
    after another without a reset.
    """

    def __init__(
        self,
        arch: Arch,
        *,
        simulator: str | None = None,
        cache: Path | None = None,
        waves: Path | None = None,
        source: Pauses | None = None,
        sink: Pauses | None = None,
        progress: Callable[[int, int], None] = _no_progress,
    ) -> None:
        """Choose a simulator for the engine of ``arch``; see :class:`Session` for ``simulator``, ``cache``, ``waves``.

        ``source`` and ``sink`` put pauses and back-pressure on the link. ``progress`` is told (inferences done, of how
        many).

        Raises:
            SimulatorMissing: the simulator lacks a tool; the message says how to get it.
        """
        self.arch = arch
        self._session = Session(monitored_design(engine_design(arch)), simulator=simulator, cache=cache, waves=waves)
        self._source = source or Pauses()
        self._sink = sink or Pauses()
        self._progress = progress

    @property
    def simulator(self) -> str:
        """The simulator in use."""
        return self._session.simulator

    @property
    def note(self) -> str:
        """Why it is not the fastest one; empty if it is, or if it was asked for."""
        return self._session.note

    @property
    def waves(self) -> Path | None:
        """The waveform file that :meth:`run` writes."""
        return self._session.waves

    def prepare(self) -> None:
        """Generate and build, unless the cache has it."""
        self._session.prepare()

    def run(self, program: Program, inputs: Sequence[Mapping[str, Ints]]) -> list[RunResult]:
        """One result for each element of ``inputs``: engine-signed integers in network shape, by tensor name.

        Raises:
            ImageError: the program is for another architecture.
            ResponseError: the engine answered something else than the commands ask for.
            SimulationError: the simulator could not be built or broke off, or the engine hung.
        """
        return [observation.result for observation in self._observe([(program, inputs)], record_stores=False)[0]]

    def observe(self, program: Program, inputs: Sequence[Mapping[str, Ints]]) -> list[Observation]:
        """As :meth:`run`, with every store and its cycle."""
        return self.observe_all([(program, inputs)])[0]

    def observe_all(self, cases: Sequence[Case]) -> list[list[Observation]]:
        """As :meth:`observe` for several programs, loaded one after another in one session; one list for each."""
        return self._observe(cases, record_stores=True)

    def _observe(self, cases: Sequence[Case], *, record_stores: bool) -> list[list[Observation]]:
        for program, _ in cases:
            program.check_arch(self.arch.hash)
        log = self._session.exchange(self._job(cases, record_stores), self._reporter(cases))
        self._check_identity(log)
        return _parse(cases, log)

    def _job(self, cases: Sequence[Case], record_stores: bool) -> LinkJob:
        words = array("I", link.read_command(Space.IDENT, 0, IDENT_LINES))
        for program, inputs in cases:
            words.extend(load_words(program))
            for feed in inputs:
                words.extend(inference_words(program, feed))
        return LinkJob(
            arch=self.arch,
            words=words,
            source=self._source,
            sink=self._sink,
            record_stores=record_stores,
            record_tallies=True,
            quiet_limit=max(cycle_bound(program) for program, _ in cases),
        )

    def _reporter(self, cases: Sequence[Case]) -> Callable[[int], None]:
        """Counts answers as inferences: the identity comes first; a run answers DONE, its outputs, its counters."""
        ends = [2 + len(program.outputs) for program, inputs in cases for _ in inputs]
        until = [1 + sum(ends[: index + 1]) for index in range(len(ends))]
        return lambda count: self._progress(sum(count >= end for end in until), len(until))

    def _check_identity(self, log: LinkLog) -> None:
        expected, got = link.ident(self.arch), list(log.answers[:IDENT_LINES])
        if got != expected:
            raise SimulationError(f"the engine's identity is {got}, expected {expected}")


def _parse(cases: Sequence[Case], log: LinkLog) -> list[list[Observation]]:
    """Cut the answers into inferences, and the stores at the cycles of their DONE."""
    observations, start, before = [], IDENT_LINES, 0
    tallies = iter(log.tallies.runs() if log.tallies is not None else ())
    for program, inputs in cases:
        count = response_count(program)
        seen = []
        for _ in inputs:
            done = log.answer_cycles[start]
            stores = log.stores.between(before, done) if log.stores is not None else None
            result = replace(parse_response(program, log.answers[start : start + count]), descriptors=next(tallies))
            seen.append(_observation(result, stores))
            start, before = start + count, done
        observations.append(seen)
    return observations


def _observation(result: RunResult, stores: StoreLog | None) -> Observation:
    if stores is None:
        return Observation(result, None)
    return Observation(replace(result, trace=Stores(stores.addresses, stores.data)), stores)
