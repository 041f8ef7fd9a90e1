# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import pytest

from systolith.api import bench_physical as module
from systolith.api.bench_physical import bench_physical
from systolith.boards.board import BoardError
from systolith.boards.physical import Device, Physical
from systolith.spec.arch import Arch, ArchError


def _measured(seen: list[Any]) -> Any:
    def measure(arch: Arch, device: Device, folder: Path, *, route: bool, seed: int, progress: Any) -> Physical:
        progress("synthesis", 0, 1)
        seen.append((arch.name, device.name, route, seed, folder.is_dir()))
        return Physical(arch=arch.name, device=device.name, blocks={}, fmax_mhz=None, critical_path=None, routed=None)

    return measure


def test_engines_go_to_their_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    steps: list[str] = []
    monkeypatch.setattr(module, "measure", _measured(seen))
    results = bench_physical(["8x8", "up5k"], route=False, seed=3, step=lambda text, *_: steps.append(text))
    assert [(result.arch, result.device) for result in results] == [("8x8", "ecp5-85f"), ("up5k", "ice40-up5k")]
    assert seen == [("8x8", "ecp5-85f", False, 3, True), ("up5k", "ice40-up5k", False, 3, True)]
    assert steps == ["8x8 on ecp5-85f: synthesis", "up5k on ice40-up5k: synthesis"]


def test_names_are_checked_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(module, "measure", _measured(seen))
    with pytest.raises(ArchError, match="arch 'none'"):
        bench_physical(["8x8", "none"])
    with pytest.raises(BoardError, match="unknown device 'none'"):
        bench_physical(["8x8"], "none")
    assert seen == []
