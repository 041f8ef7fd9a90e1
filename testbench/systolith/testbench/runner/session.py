# SPDX-License-Identifier: Apache-2.0
"""One simulator with one design: takes link jobs, whichever simulator it is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from systolith.testbench.job import LinkJob, LinkLog
from systolith.testbench.tools import SIMULATORS, choose_simulator, find_tools, missing_tools

from .amaranth_sim import simulate
from .build import WAVE_FILES, Build, build
from .cache import cache_folder
from .design import Design
from .errors import SimulatorMissing
from .launch import check_finished, launch

__all__ = ["Session"]


def _nothing(count: int) -> None:
    """Report to nobody."""


class Session:
    """Runs link jobs on a design; the design is built at the first job, or taken from the cache."""

    def __init__(
        self, design: Design, *, simulator: str | None = None, cache: Path | None = None, waves: Path | None = None
    ) -> None:
        """Choose the simulator.

        Args:
            design: what to simulate.
            simulator: ``verilator``, ``icarus`` or ``amaranth``; None takes the fastest there is.
            cache: folder for builds; None takes the user's cache folder.
            waves: write waveforms into this file; the suffix of the simulator's format (``.fst``, ``.vcd``) replaces
                its own.

        Raises:
            SimulatorMissing: the simulator, or every simulator, lacks a tool; the message names it.
            ValueError: there is no simulator of that name.
        """
        if simulator not in (None, *SIMULATORS):
            raise ValueError(f"simulator must be one of {', '.join(SIMULATORS)}, got {simulator!r}")
        self._design = design
        self._cache = cache or cache_folder() / "simulators"
        self._build: Build | None = None
        self.simulator, self.note = _choose(simulator)
        suffix = Path(WAVE_FILES.get(self.simulator, "waves.vcd")).suffix
        self.waves = waves.with_suffix(suffix) if waves else None

    def prepare(self) -> None:
        """Build the simulator, unless that is done."""
        if self.simulator == "amaranth" or self._build is not None:
            return
        design, waves = self._design, self.waves is not None
        self._build = build(self.simulator, design.key, design.top, design.verilog, cache=self._cache, waves=waves)

    def exchange(self, job: LinkJob, report: Callable[[int], None] = _nothing) -> LinkLog:
        """Run a job from power-up; ``report`` is told the number of complete answers now and then.

        Raises:
            EngineHung: no word moved for the job's quiet limit.
            SimulationError: the design does not build, or the simulator broke off.
        """
        self.prepare()
        if self.waves is not None:
            self.waves.parent.mkdir(parents=True, exist_ok=True)
        if self._build is None:
            return self._exchange_here(job, report)
        with tempfile.TemporaryDirectory(prefix="systolith-") as name:
            log = launch(self._build, job, Path(name), report)
            if self.waves is not None:
                shutil.move(Path(name) / WAVE_FILES[self.simulator], self.waves)
            return log

    def _exchange_here(self, job: LinkJob, report: Callable[[int], None]) -> LinkLog:
        if self._design.component is None:
            raise SimulatorMissing("a netlist runs in verilator or icarus only, not in amaranth's simulator")
        log = simulate(self._design.component(), job, waves=self.waves, report=report)
        return check_finished(log, job, self.simulator)


def _choose(simulator: str | None) -> tuple[str, str]:
    """The simulator and, where it is a fallback, the reason."""
    tools = find_tools()
    if simulator is None:
        try:
            return choose_simulator(tools)
        except LookupError as error:
            raise SimulatorMissing(str(error)) from error
    missing = missing_tools(simulator, tools)
    if missing:
        needs = "; ".join(f"{tool.name} (get it by: {tool.get})" for tool in missing)
        raise SimulatorMissing(f"simulator {simulator} cannot run here, it needs {needs}")
    return simulator, ""
