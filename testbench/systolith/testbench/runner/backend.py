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
from .session import Session

__all__ = ["Observation", "RtlSimulator"]

Ints = NDArray[np.int64]


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
        self._session = Session(engine_design(arch), simulator=simulator, cache=cache, waves=waves)
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
        return [observation.result for observation in self.observe(program, inputs, record_stores=False)]

    def observe(
        self, program: Program, inputs: Sequence[Mapping[str, Ints]], *, record_stores: bool = True
    ) -> list[Observation]:
        """As :meth:`run`, with every store and its cycle."""
        program.check_arch(self.arch.hash)
        log = self._session.exchange(self._job(program, inputs, record_stores), self._report(program, len(inputs)))
        self._check_identity(log)
        return [self._observation(program, log, index) for index in range(len(inputs))]

    def _job(self, program: Program, inputs: Sequence[Mapping[str, Ints]], record_stores: bool) -> LinkJob:
        words = array("I", link.read_command(Space.IDENT, 0, IDENT_LINES))
        words.extend(load_words(program))
        for feed in inputs:
            words.extend(inference_words(program, feed))
        return LinkJob(
            arch=self.arch,
            words=words,
            source=self._source,
            sink=self._sink,
            record_stores=record_stores,
            quiet_limit=cycle_bound(program),
        )

    def _report(self, program: Program, total: int) -> Callable[[int], None]:
        """Complete answers to inferences: each run answers DONE, its outputs and its counters; the identity is one."""
        each = 2 + len(program.outputs)
        return lambda ends: self._progress((ends - 1) // each, total)

    def _check_identity(self, log: LinkLog) -> None:
        expected, got = link.ident(self.arch), list(log.answers[:IDENT_LINES])
        if got != expected:
            raise SimulationError(f"the engine's identity is {got}, expected {expected}")

    def _observation(self, program: Program, log: LinkLog, index: int) -> Observation:
        count = response_count(program)
        start = IDENT_LINES + index * count
        result = parse_response(program, log.answers[start : start + count])
        if log.stores is None:
            return Observation(result, None)
        before = log.answer_cycles[start - count] if index else 0
        stores = log.stores.between(before, log.answer_cycles[start])
        return Observation(replace(result, trace=Stores(stores.addresses, stores.data)), stores)
