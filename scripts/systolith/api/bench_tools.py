# SPDX-License-Identifier: Apache-2.0
"""Wall times of the tool chain, measured on this machine: from a float ONNX file to a verified RTL result.

Every figure is measured once, in the order of a user's work, on a real image classifier where the environment variable
``SYSTOLITH_ZOO`` names a folder with it, else on the bundled one. Targets are printed for comparison and decide
nothing: they are for two cores with nothing else to do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from systolith.compiler.interp_int import run_integer
from systolith.compiler.model import predict
from systolith.hdl.emit import emit_verilog
from systolith.spec.arch import load_arch
from systolith.spec.link import Counter
from systolith.testbench.runner.backend import RtlSimulator

from .build_folder import BuildFolder
from .bundled import DIGITS, network_file
from .checks import check
from .errors import Mismatch
from .flow import Compiled, Step, compile
from .network import engine_batch, engine_feeds

__all__ = ["ZOO_VARIABLE", "Figure", "Subject", "bench_subject", "bench_tools", "verilog_modules"]

ZOO_VARIABLE = "SYSTOLITH_ZOO"
"""Environment variable that names a folder with ``float/resnet8.onnx`` and ``data/cifar10_calib.npz``."""

_STEPS = 7
_RTL_INFERENCES = 4
"""Inferences that the simulator's speed is measured on, beyond the first."""
_SHORTEST = 1e-3
"""Seconds; a difference of times below it says nothing, and must not be divided by."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    cpu: float | None = None
    """Seconds of computing, child processes included, of a wall time in seconds: the work itself, on any load."""
    target: str = ""
    """What the project aims at; empty where it aims at nothing."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is compiled."""

    name: str
    model: Path
    calibration: Path
    remark: str = ""
    """Why it is not the usual one; empty if it is."""


def bench_subject() -> Subject:
    """resnet8 of the folder in :data:`ZOO_VARIABLE`; without it the bundled digits network, saying so."""
    zoo = os.environ.get(ZOO_VARIABLE)
    reason = f"{ZOO_VARIABLE} is not set"
    if zoo:
        model, data = Path(zoo) / "float" / "resnet8.onnx", Path(zoo) / "data" / "cifar10_calib.npz"
        if model.is_file() and data.is_file():
            return Subject(name="resnet8", model=model, calibration=data)
        reason = f"{ZOO_VARIABLE}={zoo} holds no float/resnet8.onnx with data/cifar10_calib.npz"
    remark = f"{reason}: measured on the bundled digits_cnn, for which the targets are easy."
    return Subject(name="digits_cnn", model=network_file("digits_cnn"), calibration=DIGITS, remark=remark)


def verilog_modules(text: str) -> dict[str, int]:
    """Modules of a Verilog text by name, with the number of places that instantiate each."""
    names = re.findall(r"^module (\w+)", text, re.MULTILINE)
    used = re.findall(r"^ +(\w+) (?:#\(|\S+ +\()", text, re.MULTILINE)
    return {name: used.count(name) for name in names}


@dataclass(frozen=True)
class _Time:
    """Seconds on the clock, and of computing."""

    wall: float
    cpu: float

    def __add__(self, other: _Time) -> _Time:
        return _Time(self.wall + other.wall, self.cpu + other.cpu)

    def figure(self, name: str, note: str = "", target: str = "") -> Figure:
        return Figure(name=name, value=self.wall, unit="s", cpu=self.cpu, note=note, target=target)


def _timed(work: Callable[[], _Result]) -> tuple[_Result, _Time]:
    start, before = time.perf_counter(), sum(os.times()[:4])
    result = work()
    return result, _Time(time.perf_counter() - start, sum(os.times()[:4]) - before)


def _start_up() -> _Time:
    """Time that a fresh Python needs to import everything ``compile`` uses."""
    command = [sys.executable, "-c", "import systolith.api.flow"]
    return _timed(lambda: subprocess.run(command, check=True))[1]


def _reference_speed(compiled: Compiled) -> Figure:
    """Images a second of the integer reference, on the stored samples in one batch."""
    batch = engine_batch(compiled.network, compiled.samples)
    acc_bits, outputs = compiled.program.arch.acc_bits, compiled.network.outputs
    _, taken = _timed(lambda: run_integer(compiled.network, batch, acc_bits=acc_bits, keep=outputs))
    speed = len(next(iter(batch.values()))) / taken.wall
    return Figure(name="integer reference", value=speed, unit="images/s", target=">= 50 images/s", note="in numpy")


def _rtl_speed(compiled: Compiled, rtl: RtlSimulator) -> Figure:
    """Cycles a second of the simulator while it runs inferences: start and loading are subtracted."""
    feeds = engine_feeds(compiled.network, {name: values[:1] for name, values in compiled.samples.items()})
    _, once = _timed(lambda: rtl.run(compiled.program, feeds))
    _, more = _timed(lambda: rtl.run(compiled.program, feeds * (1 + _RTL_INFERENCES)))
    cycles = _RTL_INFERENCES * predict(compiled.program).total[Counter.CYCLES]
    speed = cycles / max(more.wall - once.wall, _SHORTEST)
    return Figure(name=f"{rtl.simulator} speed", value=speed, unit="cycles/s", note="within inferences")


def _verify_one(build: BuildFolder, simulator: str, cache: Path) -> None:
    verdict = check(build, simulator=simulator, samples=1, randoms=0, cache=cache)
    if verdict["findings"]:
        raise Mismatch("; ".join(verdict["findings"]))


@dataclass(frozen=True)
class _Chain:
    """What one walk through the tool chain leaves behind."""

    compiled: Compiled
    rtl: RtlSimulator
    figures: list[Figure]


def _chain(subject: Subject, arch: str, simulator: str | None, folder: Path, step: Step) -> _Chain:
    """From the ONNX file to the verified result, as a user who has just installed the package meets it."""
    start = _start_up()
    step(f"compile {subject.name} for {arch}", 1, _STEPS)
    compiled, compiling = _timed(lambda: compile(subject.model, arch, subject.calibration))
    build, writing = _timed(lambda: compiled.write(folder / "build"))
    rtl = RtlSimulator(compiled.program.arch, simulator=simulator, cache=folder / "cache")
    step(f"build for {rtl.simulator}, nothing in the cache", 2, _STEPS)
    _, building = _timed(rtl.prepare)
    step(f"verify one input in {rtl.simulator}", 3, _STEPS)
    _, running = _timed(lambda: _verify_one(build, rtl.simulator, folder / "cache"))
    command = start + compiling + writing
    figures = [
        start.figure("start of the command", "imports"),
        compiling.figure("compile: import to program"),
        command.figure("compile command", "with start, Verilog, report", "< 5 s"),
        building.figure(f"{rtl.simulator} build", "nothing in the cache"),
        running.figure("RTL run of one input", "reference == ISA == RTL"),
        (command + building + running).figure("ONNX to verified RTL", "all of the above", "< 60 s"),
    ]
    return _Chain(compiled, rtl, figures)


def _elaboration(arch: str) -> tuple[list[Figure], dict[str, int]]:
    """The largest engine as Verilog: time, and proof that hierarchy is kept."""
    text, elaborating = _timed(lambda: emit_verilog(load_arch(arch)))
    modules = verilog_modules(text)
    cells = sum("cell" in name for name in modules)
    figures = [
        elaborating.figure(f"{arch} to Verilog", target="< 60 s"),
        Figure(name=f"{arch} Verilog", value=text.count("\n"), unit="lines"),
        Figure(name=f"{arch} hierarchy", value=len(modules), unit="modules", note=f"PE modules: {cells}"),
    ]
    return figures, modules


def bench_tools(*, arch: str, large: str, simulator: str | None, step: Step) -> dict[str, Any]:
    """Measure the tool chain.

    Args:
        arch: the engine that the network is compiled for and simulated on.
        large: the engine that is only generated.
        simulator: as for :class:`~systolith.testbench.runner.backend.RtlSimulator`.
        step: told the progress.

    Returns:
        Figures, JSON-able.

    Raises:
        Mismatch: the RTL is wrong, so that its speed means nothing.
        CompileError, SimulationError: as from the steps.
    """
    subject = bench_subject()
    step("start", 0, _STEPS)
    with tempfile.TemporaryDirectory(prefix="systolith-bench-") as name:
        chain = _chain(subject, arch, simulator, Path(name), step)
        rtl = chain.rtl
        step("integer reference", 4, _STEPS)
        reference = _reference_speed(chain.compiled)
        step(f"speed of {rtl.simulator}", 5, _STEPS)
        speeds = [reference, _rtl_speed(chain.compiled, rtl)]
    step(f"generate {large}", 6, _STEPS)
    large_figures, modules = _elaboration(large)
    return {
        "network": subject.name,
        "arch": arch,
        "simulator": rtl.simulator,
        "cores": os.cpu_count(),
        "remark": " ".join(filter(None, (subject.remark, rtl.note))),
        "figures": [asdict(figure) for figure in [*chain.figures, *speeds, *large_figures]],
        "modules": modules,
    }
