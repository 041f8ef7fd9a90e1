# SPDX-License-Identifier: Apache-2.0
"""From a design to a bitstream: the steps of each FPGA family as data, run one after the other and timed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith.hdl.target import Target

from .tools import find_tool

__all__ = [
    "FLOWS",
    "LOG_LINES",
    "NAME",
    "NETLIST",
    "REPORT",
    "ROUTE",
    "Flow",
    "FlowError",
    "Progress",
    "Step",
    "run_flow",
]

NAME = "top"
"""Base name of all files of a build."""

REPORT = f"{NAME}.report.json"
"""nextpnr's report."""

LOG_LINES = 12
"""Lines of a failed tool's output in the error message."""

Progress = Callable[[str, int, int], None]
"""Is told: the step that begins, how many are done, of how many."""


class FlowError(RuntimeError):
    """A tool failed; the message has the end of its output."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One tool's run."""

    title: str
    tool: str
    arguments: Callable[[Any], list[str]]
    """Made for the platform."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One family's way."""

    steps: tuple[Step, ...]
    bitstream: str
    """The file it ends with."""
    synth_opts: str
    before_synthesis: str = ""
    """A Yosys command that sets what synthesis has no option for."""
    cells: Mapping[str, str]
    """What the report calls a kind of cell, to nextpnr's name of it."""


SYNTHESIS = Step(title="synthesis", tool="yosys", arguments=lambda _: ["-q", "-l", f"{NAME}.rpt", f"{NAME}.ys"])
"""Runs the script of the design."""

REGISTERS = Step(title="block RAM registers", tool="bram-registers", arguments=lambda _: [f"{NAME}.json"])
"""Uses the block RAMs' output registers, on an ECP5."""

NETLIST: dict[Target, tuple[Step, ...]] = {Target.ECP5: (SYNTHESIS, REGISTERS), Target.ICE40: (SYNTHESIS,)}
"""From the design to the netlist that is routed."""

ROUTE = ["--quiet", "--timing-allow-fail", "--log", f"{NAME}.tim", "--report", REPORT, "--json", f"{NAME}.json"]
"""nextpnr's arguments for every family."""


def _ecp5(platform: Any) -> list[str]:
    size = platform.device.removeprefix("LFE5U-").removesuffix("F")
    package = {"BG256": "CABGA256", "BG381": "CABGA381"}[platform.package]
    device = [f"--{size}k", "--package", package, "--speed", platform.speed]
    return [*ROUTE, *device, "--lpf", f"{NAME}.lpf", "--textcfg", f"{NAME}.config"]


def _ice40(platform: Any) -> list[str]:
    device = [f"--{platform.device.removeprefix('iCE40').lower()}", "--package", platform.package.lower()]
    return [*ROUTE, *device, "--pcf", f"{NAME}.pcf", "--asc", f"{NAME}.asc"]


def _pack_ecp5(_: Any) -> list[str]:
    return ["--compress", "--input", f"{NAME}.config", "--bit", f"{NAME}.bit"]


FLOWS: dict[Target, Flow] = {
    Target.ECP5: Flow(
        steps=(
            *NETLIST[Target.ECP5],
            Step(title="place and route", tool="nextpnr-ecp5", arguments=_ecp5),
            Step(title="bitstream", tool="ecppack", arguments=_pack_ecp5),
        ),
        bitstream=f"{NAME}.bit",
        synth_opts="-abc9",
        cells={"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"},
    ),
    Target.ICE40: Flow(
        steps=(
            *NETLIST[Target.ICE40],
            Step(title="place and route", tool="nextpnr-ice40", arguments=_ice40),
            Step(title="bitstream", tool="icepack", arguments=lambda _: [f"{NAME}.asc", f"{NAME}.bin"]),
        ),
        bitstream=f"{NAME}.bin",
        # Never -dsp: its pass takes the SB_MAC16 that the engine instantiates for its own and clears their clock and
        # registers without a word (Yosys 0.70). The engine brings its multipliers.
        synth_opts="-device u",
        # What a wire takes in picoseconds. Yosys takes 750; routed engines have 1760 between neighbours and often twice
        # that. By far the more a wire counts beside a carry, the fewer levels of logic its mapping uses.
        before_synthesis="scratchpad -set synth_ice40.abc9.W 4000",
        cells={"lut": "ICESTORM_LC", "dsp": "ICESTORM_DSP", "bram": "ICESTORM_RAM", "spram": "ICESTORM_SPRAM"},
    ),
}
"""The way of each family."""


def _run(command: list[str], folder: Path, title: str) -> None:
    reply = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if reply.returncode:
        output = (reply.stdout + reply.stderr).strip().splitlines()
        tail = "\n".join(output[-LOG_LINES:])
        raise FlowError(f"{title} failed ({Path(command[0]).name}, exit code {reply.returncode}):\n{tail}")


def run_flow(flow: Flow, platform: Any, folder: Path, progress: Progress) -> dict[str, float]:
    """Run all steps in ``folder``, which holds the design's files; seconds of each, by title.

    Raises:
        MissingTool: before anything runs, if a tool is missing.
        FlowError: a tool failed.
    """
    commands = [(step, [*find_tool(step.tool), *step.arguments(platform)]) for step in flow.steps]
    seconds = {}
    for done, (step, command) in enumerate(commands):
        progress(step.title, done, len(commands))
        start = time.monotonic()
        _run(command, folder, step.title)
        seconds[step.title] = round(time.monotonic() - start, 1)
    progress("done", len(commands), len(commands))
    return seconds
