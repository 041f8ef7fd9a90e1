# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from systolith.cli.exit_codes import ExitCode
from systolith.spec.image import load_program, save_program
from systolith.spec.link import Space
from tests.support.builds import SmallBuild
from tests.support.command import run

QUICK = ("--simulator", "amaranth", "--samples", "1", "--random", "1")


def test_equal(small: SmallBuild) -> None:
    outcome = run("verify", small.folder, *QUICK, "--seed", "3")
    assert outcome.code == ExitCode.OK
    assert outcome.out.startswith("equal: 1 real and 1 random inputs (seed 3), 6 output elements and 84 stores")
    assert all(line.startswith("verify: ") for line in outcome.err.splitlines())


def test_figures(small: SmallBuild, tmp_path: Path) -> None:
    pure = run("verify", small.folder, *QUICK, "--json", "-")
    figures = json.loads(pure.out)
    assert figures["equal"] is True
    assert figures["findings"] == []
    both = run("verify", small.folder, *QUICK, "--json", tmp_path / "figures.json")
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    assert both.out.startswith("equal: ")


def _change_a_weight(file: Path) -> None:
    """Another weight than was compiled, in an image that is otherwise right: checksum and all."""
    program = load_program(file)
    weights = array("I", program.segments[Space.WEIGHTS])
    weights[0] ^= 0x40
    save_program(replace(program, segments={**program.segments, Space.WEIGHTS: weights}), file)


@pytest.mark.parametrize("json_option", [(), ("--json", "-")])
def test_one_wrong_weight_is_found_and_placed(small: SmallBuild, tmp_path: Path, json_option: tuple[str, ...]) -> None:
    folder = small.copy(tmp_path / "build")
    _change_a_weight(folder / "program.slp")
    outcome = run("verify", folder, *QUICK, *json_option)
    assert outcome.code == ExitCode.MISMATCH
    assert (
        "reference and ISA model differ: layer 'conv0', tile 0 (descriptor 0), element (y, x, c) = " in outcome.refusal
    )
    assert "expected " in outcome.refusal
    if json_option:
        assert json.loads(outcome.out)["equal"] is False
    else:
        assert outcome.out == ""


def test_cycle_model_is_compared(small: SmallBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    from systolith.api import checks

    def wrong(counters: object) -> dict[str, int]:
        return {"cycles": id(counters)}

    monkeypatch.setattr(checks, "named", wrong)
    outcome = run("verify", small.folder, *QUICK)
    assert outcome.code == ExitCode.MISMATCH
    assert "counter cycles is" in outcome.refusal
