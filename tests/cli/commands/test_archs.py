# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

from systolith.spec.arch import PRESETS, Arch
from tests.support.command import run


def test_every_preset_has_a_row() -> None:
    outcome = run("archs")
    assert (outcome.code, outcome.err) == (0, "")
    for arch in PRESETS.values():
        (row,) = (line for line in outcome.out.splitlines() if f"{arch.hash:08x}" in line)
        assert arch.name in row
        assert int(row.split()[-2]) == arch.tables


def test_figures() -> None:
    assert json.loads(run("archs", "--json", "-").out) == {name: arch.to_json() for name, arch in PRESETS.items()}


def test_file_of_a_preset_is_an_architecture(tmp_path: Path) -> None:
    file = tmp_path / "my.json"
    assert run("archs", "8x8", "--json", file).code == 0
    assert Arch.from_json(json.loads(file.read_text())) == PRESETS["8x8"]
    assert f"{PRESETS['8x8'].hash:08x}" in run("archs", file).out


def test_isa() -> None:
    assert run("archs", "8x8", "--isa").out != run("archs", "tiny", "--isa").out
