# SPDX-License-Identifier: Apache-2.0
"""The engine alone on a device: cells by block, and the speed of the routed design.

Synthesis runs twice. Once with all modules kept apart, which says where the cells go and does not depend on chance; and
for the routing as a whole, where modules are optimised across their borders.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from systolith.hdl.emit import component_verilog
from systolith.hdl.target import Target
from systolith.spec.arch import Arch

from .board import BoardError
from .flow import FLOWS, NAME, NETLIST, REPORT, ROUTE, Flow, Progress, Step, run_flow
from .harness import Harness
from .report import read_nextpnr_report
from .resources import block_use, total_use

__all__ = ["DEVICES", "Device", "Physical", "find_device", "measure"]

_BLOCKS = "blocks"
"""Base name of the files of the synthesis with the modules kept apart."""


@dataclass(frozen=True, kw_only=True)
class Device:
    """A part of a family, at the speed grade that is measured."""

    name: str
    title: str
    target: Target
    synthesis: str
    """Yosys's command."""
    apart: tuple[str, ...]
    """The commands that keep the modules of ``top`` apart: those of the usual synthesis, with abc for the LUTs instead
    of abc9, which fails on modules kept apart (Yosys 0.70)."""
    tool: str
    arguments: tuple[str, ...]
    """nextpnr's."""
    goal_mhz: float
    """What place and route aims at."""


DEVICES = {
    device.name: device
    for device in (
        Device(
            name="ecp5-85f",
            title="LFE5U-85F, speed grade 6",
            target=Target.ECP5,
            synthesis="synth_ecp5",
            apart=(
                "synth_ecp5 -top {top} -noflatten -run begin:map_luts",
                "abc -luts 2:2,3,6:5,10,20",
                "clean",
                "synth_ecp5 -top {top} -noflatten -run map_cells:check",
            ),
            tool="nextpnr-ecp5",
            arguments=("--85k", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained"),
            goal_mhz=120,
        ),
        Device(
            name="ice40-up5k",
            title="iCE40UP5K",
            target=Target.ICE40,
            synthesis="synth_ice40",
            apart=(
                "synth_ice40 -top {top} -noflatten -device u -run begin:map_luts",
                "abc -lut 4",
                "ice40_wrapcarry -unwrap",
                "techmap -map +/ice40/ff_map.v",
                "clean",
                "opt_lut -tech ice40",
                "synth_ice40 -top {top} -noflatten -device u -run map_cells:check",
            ),
            tool="nextpnr-ice40",
            arguments=("--up5k", "--package", "sg48", "--pcf-allow-unconstrained"),
            goal_mhz=40,
        ),
    )
}
"""The devices by name."""


@dataclass(frozen=True, kw_only=True)
class Physical:
    """What an engine comes to on a device."""

    arch: str
    device: str
    blocks: dict[str, dict[str, int]]
    """Cells by block and kind, with the modules kept apart."""
    fmax_mhz: float | None
    """Of the routed engine, by nextpnr's estimate for the slowest corner; None if it was not routed."""
    critical_path: str | None
    """From and to of the slowest path."""
    routed: dict[str, dict[str, int]] | None
    """Cells of the routed engine by kind: used and available."""

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; the sums of the blocks stand at the top."""
        return asdict(self) | total_use(self.blocks)


def find_device(name: str) -> Device:
    """A device by name. Raises BoardError for an unknown one."""
    if name not in DEVICES:
        raise BoardError(f"unknown device {name!r}; known: {', '.join(DEVICES)}")
    return DEVICES[name]


def _flow(device: Device, route: bool, seed: int) -> Flow:
    apart = Step(
        title="synthesis by block",
        tool="yosys",
        arguments=lambda _: ["-q", "-l", f"{_BLOCKS}.rpt", f"{_BLOCKS}.ys"],
    )
    place = Step(
        title="place and route",
        tool=device.tool,
        arguments=lambda _: [*ROUTE, *device.arguments, "--freq", str(device.goal_mhz), "--seed", str(seed)],
    )
    return Flow(
        steps=(apart, *NETLIST[device.target], place) if route else (apart,),
        bitstream="",
        synth_opts=FLOWS[device.target].synth_opts,
        before_synthesis=FLOWS[device.target].before_synthesis,
        cells=FLOWS[device.target].cells,
    )


def _write(arch: Arch, device: Device, flow: Flow, folder: Path) -> None:
    """The design and the scripts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.v").write_text(component_verilog(Harness(arch=arch, target=device.target), name=NAME))
    whole = f"{device.synthesis} {flow.synth_opts} -top {NAME} -json {NAME}.json"
    (folder / f"{NAME}.ys").write_text("\n".join([f"read_verilog {NAME}.v", flow.before_synthesis, whole, ""]))
    apart = [line.format(top=NAME) for line in device.apart]
    stat = f"tee -q -o {_BLOCKS}.json stat -json"
    (folder / f"{_BLOCKS}.ys").write_text("\n".join([f"read_verilog {NAME}.v", *apart, stat, ""]))


def measure(arch: Arch, device: Device, folder: Path, *, route: bool, seed: int = 1, progress: Progress) -> Physical:
    """Synthesise the engine of ``arch`` and, with ``route``, place and route it; files go to ``folder``.

    Raises:
        MissingTool: a tool is not installed.
        FlowError: a tool failed, such as for an engine that does not fit.
        ValueError: the device's primitives cannot do what ``arch`` asks for.
    """
    progress("elaboration", 0, 0)
    flow = _flow(device, route, seed)
    _write(arch, device, flow, folder)
    run_flow(flow, device, folder, progress)
    blocks = block_use(json.loads((folder / f"{_BLOCKS}.json").read_text()), NAME)
    if not route:
        return Physical(
            arch=arch.name, device=device.name, blocks=blocks, fmax_mhz=None, critical_path=None, routed=None
        )
    fmax, slowest, use = read_nextpnr_report(folder / REPORT, flow.cells)
    return Physical(
        arch=arch.name,
        device=device.name,
        blocks=blocks,
        fmax_mhz=round(fmax, 1),
        critical_path=slowest,
        routed={kind: asdict(entry) for kind, entry in use.items()},
    )
