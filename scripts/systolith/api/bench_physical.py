# SPDX-License-Identifier: Apache-2.0
"""The engine's speed and size on the devices that the packaged tools route for."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from systolith.boards.physical import Device, Physical, find_device, measure
from systolith.spec.arch import Arch, load_arch

from .flow import Step, no_step

__all__ = ["bench_physical"]


def bench_physical(
    archs: Sequence[str], device: str | None = None, *, route: bool = True, seed: int = 1, step: Step = no_step
) -> list[Physical]:
    """Measure engines, one after another.

    Args:
        archs: presets or files.
        device: a name of :data:`~systolith.boards.physical.DEVICES`; by default the iCE40 for an arch whose activation
            memory has one port, as that device's has, and the ECP5 for others.
        route: False to only count cells.
        seed: of the placement.
        step: is told the progress.

    Raises:
        ArchError, BoardError: unknown names.
        MissingTool, FlowError: of the tools.
    """
    chosen = [(arch, _device(arch, device)) for arch in map(load_arch, archs)]
    results = []
    for arch, part in chosen:
        title = f"{arch.name} on {part.name}: "
        with tempfile.TemporaryDirectory(prefix="systolith-") as folder:
            report = _titled(step, title)
            results.append(measure(arch, part, Path(folder), route=route, seed=seed, progress=report))
    return results


def _device(arch: Arch, name: str | None) -> Device:
    return find_device(name or ("ice40-up5k" if arch.act_single_port else "ecp5-85f"))


def _titled(step: Step, title: str) -> Step:
    return lambda text, done, total: step(title + text, done, total)
