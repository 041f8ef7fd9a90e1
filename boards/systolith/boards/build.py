# SPDX-License-Identifier: Apache-2.0
"""Builds the bitstream of a board: the engine of an Arch behind the serial line. Programs come later, over the link."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path

from systolith.hdl.engine import Engine
from systolith.spec.arch import Arch
from systolith.spec.image import Program

from .board import Board
from .flow import FLOWS, NAME, REPORT, Flow, Progress, run_flow
from .report import BuildReport, read_nextpnr_report
from .tools import PACKAGES
from .top import BoardTop

__all__ = ["TimingFailure", "build", "report_path"]


class TimingFailure(RuntimeError):
    """The routed design is slower than its clock."""


def _no_progress(step: str, done: int, total: int) -> None:
    """Report to nobody."""


def report_path(folder: Path, board: Board) -> Path:
    """Where :func:`build` writes the report."""
    return folder / f"{board.name}.json"


def _tool_versions() -> dict[str, str]:
    names = {"amaranth", *PACKAGES.values()}
    return {name: metadata.version(name) for name in sorted(names) if _installed(name)}


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _finished(path: Path, key: str) -> BuildReport | None:
    """The report of an earlier build of the very same thing, if its bitstream is still there."""
    try:
        report = BuildReport.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return report if report.key == key and (path.parent / report.bitstream).is_file() else None


def build(
    what: Program | Arch,
    board: Board,
    folder: Path,
    *,
    progress: Progress = _no_progress,
    allow_timing_failure: bool = False,
) -> BuildReport:
    """Build the bitstream for the architecture of ``what`` into ``folder`` and report on it.

    ``folder`` gets the bitstream, named after the board, and the report beside it; the tools' files stay in a folder
    named after the board. A build of the same design with the same tools is not repeated. ``progress`` is told the
    step that begins, how many are done, of how many.

    Raises:
        MissingTool: a tool of the flow is not installed.
        FlowError: a tool failed, such as for a design that does not fit.
        TimingFailure: the design is too slow for the board's clock, unless ``allow_timing_failure``.
    """
    arch = what.arch if isinstance(what, Program) else what
    flow, platform = FLOWS[board.target], board.platform()
    progress("elaboration", 0, len(flow.steps))
    top = BoardTop(board=board, engine=Engine(arch=arch, target=board.target))
    plan = platform.prepare(top, NAME, synth_opts=flow.synth_opts, script_after_read=flow.before_synthesis)
    key = hashlib.sha256(plan.digest() + json.dumps(_tool_versions()).encode()).hexdigest()
    path = report_path(folder, board)
    report = _finished(path, key)
    if report is None:
        work = folder / board.name
        shutil.rmtree(work, ignore_errors=True)
        plan.extract(work)
        seconds = run_flow(flow, platform, work, progress)
        report = _report(board, arch, flow, work, key, seconds)
        _publish(report, work / flow.bitstream, path)
    if not report.meets_timing and not allow_timing_failure:
        raise TimingFailure(
            f"{board.title}, arch {arch.name!r}: {report.fmax_mhz:.1f} MHz possible, {report.clock_mhz:g} MHz needed; "
            f"the slowest path is {report.critical_path}; use a smaller arch, or allow the failure"
        )
    return report


def _report(board: Board, arch: Arch, flow: Flow, work: Path, key: str, seconds: dict[str, float]) -> BuildReport:
    fmax, slowest, use = read_nextpnr_report(work / REPORT, flow.cells)
    return BuildReport(
        board=board.name,
        arch=arch.name,
        arch_hash=arch.hash,
        key=key,
        bitstream=board.name + Path(flow.bitstream).suffix,
        clock_mhz=board.clock_hz / 1e6,
        fmax_mhz=round(fmax, 2),
        critical_path=slowest,
        baud=board.baud,
        use=use,
        seconds=seconds,
    )


def _publish(report: BuildReport, bitstream: Path, path: Path) -> None:
    """The bitstream first, then the report: a report means a complete build."""
    shutil.copyfile(bitstream, path.parent / report.bitstream)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(report.to_json(), indent=1) + "\n")
    temporary.replace(path)
