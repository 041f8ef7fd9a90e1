# SPDX-License-Identifier: Apache-2.0
"""Runs a link job in a built simulator, as a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from systolith.testbench.job import JOB_VARIABLE, PROGRESS_FILE, LinkJob, LinkLog, read_log

from .build import WAVE_FILES, Build
from .errors import EngineHung, SimulationError

__all__ = ["launch"]

_MODULE = "systolith.testbench.bench_link"
_POLL_SECONDS = 0.2


@contextmanager
def _reporting(file: Path, report: Callable[[int], None]) -> Iterator[None]:
    """While the body runs, call ``report`` with the file's size whenever it has grown."""
    done = threading.Event()

    def watch() -> None:
        seen = 0
        while True:
            finished = done.wait(_POLL_SECONDS)
            size = file.stat().st_size if file.is_file() else 0
            if size > seen:
                report(size)
            seen = size
            if finished:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _simulate(build: Build, folder: Path, log: Path) -> None:
    """One simulator process; its output goes to ``log``. Failures show in what it leaves behind."""
    # an extra: whoever only uses Amaranth's simulator has no cocotb
    from cocotb_tools.runner import get_runner

    arguments = ["--trace-file", WAVE_FILES[build.simulator]] if build.waves and build.simulator == "verilator" else []
    try:
        get_runner(build.simulator).test(
            test_module=_MODULE,
            hdl_toplevel=build.top,
            hdl_toplevel_lang="verilog",
            build_dir=build.folder,
            test_dir=folder,
            test_args=arguments,
            waves=build.waves,
            results_xml=str(folder / "results.xml"),
            extra_env={JOB_VARIABLE: str(folder)},
            log_file=log,
        )
    except (SystemExit, RuntimeError):
        # the runner's way of saying that a test failed; what failed is in the log
        return


def launch(build: Build, job: LinkJob, folder: Path, report: Callable[[int], None] | None = None) -> LinkLog:
    """Run ``job`` with its files in ``folder``, which must exist and be empty.

    ``report`` is called now and then with the number of complete answers. With a build for waves, the
    waveform file is left in the folder.

    Raises:
        EngineHung: no word moved for the job's quiet limit.
        SimulationError: the simulator or the bench broke off; the message shows the log's end.
    """
    folder = folder.resolve()
    job.save(folder)
    log = folder / "simulator.log"
    with _reporting(folder / PROGRESS_FILE, report or (lambda count: None)):
        _simulate(build, folder, log)
    try:
        result = read_log(folder)
    except FileNotFoundError:
        tail = "\n".join(log.read_text().splitlines()[-20:]) if log.is_file() else "it never started"
        raise SimulationError(f"{build.simulator} left no result:\n{tail}") from None
    return check_finished(result, job, build.simulator)


def check_finished(log: LinkLog, job: LinkJob, simulator: str) -> LinkLog:
    """The log itself; raises :class:`EngineHung` if the quiet limit ended it."""
    if log.hung:
        raise EngineHung(
            f"{simulator}: the engine was silent for {job.quiet_limit} cycles after it took {log.sent} of "
            f"{len(job.words)} words and gave {len(log.answers)}"
        )
    return log
