# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from systolith.api.bench_networks.catalogue import NETWORKS
from systolith.api.conformance import Outcome
from systolith.boards.physical import Physical
from systolith.cli.commands import bench
from systolith.cli.exit_codes import ExitCode
from tests.support.command import run

FIGURES: dict[str, Any] = {
    "network": "small",
    "arch": "tiny",
    "simulator": "amaranth",
    "cores": 2,
    "remark": "measured on something else",
    "figures": [
        {"name": "compile", "value": 1.25, "unit": "s", "cpu": 0.5, "target": "< 5 s", "note": ""},
        {"name": "lines", "value": 7, "unit": "lines", "cpu": None, "target": "", "note": "few"},
    ],
    "modules": {},
}


def test_table_and_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "bench_tools", lambda **options: FIGURES)
    lines = run("bench", "tools").out.splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert rows == [["compile", "1.2 s", "0.5", "< 5 s", ""], ["lines", "7 lines", "", "", "few"]]
    assert lines[-1] == "measured on something else"
    assert '"cores": 2' in run("bench", "tools", "--json", "-").out


def test_options_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(bench, "bench_tools", lambda **options: seen.update(options) or FIGURES)
    run("bench", "tools", "--arch", "4x4", "--large", "8x8", "--simulator", "icarus")
    assert {key: seen[key] for key in ("arch", "large", "simulator")} == {
        "arch": "4x4",
        "large": "8x8",
        "simulator": "icarus",
    }


def test_networks_in_figures_and_tables(tmp_path: Path) -> None:
    file = tmp_path / "nets.json"
    outcome = run("bench", "nets", "--no-rtl", "--arch", "8x8", "--net", "gemm_64", "--json", file)
    assert outcome.code == ExitCode.OK
    (record,) = json.loads(file.read_text())["records"]
    assert (record["net"], record["arch"], record["macs"]) == ("gemm_64", "8x8", 262_144)
    assert f"{record['cycles']:,}" in outcome.out
    assert "where the MAC slots went" in outcome.out
    assert all(line.startswith("bench: ") for line in outcome.err.splitlines())
    pure = run("bench", "nets", "--no-rtl", "--arch", "8x8", "--net", "gemm_64", "--json", "-")
    assert json.loads(pure.out)["records"][0]["cycles"] == record["cycles"]


def test_network_options_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    figures: dict[str, Any] = {"records": [], "dense": [], "remark": "", "figures": []}
    monkeypatch.setattr(bench, "bench_nets", lambda **options: seen.update(options) or figures)
    monkeypatch.setenv("SYSTOLITH_SCALESIM", "other/python")
    run("bench", "nets", "--simulator", "amaranth", "--json", "-")
    assert (seen["archs"], seen["nets"], seen["rtl"]) == (("4x4", "8x8", "16x16"), tuple(NETWORKS), True)
    assert (seen["simulator"], seen["scalesim"]) == ("amaranth", "other/python")


def test_an_inexact_network_is_a_mismatch(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [{"net": "resnet8", "arch": "8x8", "findings": ["first", "second"]}]
    figures = {"records": records, "dense": [], "remark": "", "figures": []}
    monkeypatch.setattr(bench, "bench_nets", lambda **options: figures)
    outcome = run("bench", "nets", "--json", "-")
    assert outcome.code == ExitCode.MISMATCH
    assert outcome.refusal == "resnet8 on 8x8: first; resnet8 on 8x8: second"


def test_an_unknown_network_is_a_wrong_command_line() -> None:
    outcome = run("bench", "nets", "--net", "resnet9000")
    assert outcome.code == ExitCode.USAGE
    assert "resnet8" in outcome.err


PHYSICAL = Physical(
    arch="8x8",
    device="ecp5-85f",
    blocks={"array": {"lut": 2000, "ff": 10, "dsp": 64, "bram": 0, "spram": 0}},
    fmax_mhz=101.5,
    critical_path="a -> b",
    routed={"lut": {"used": 1900, "available": 83640}},
)


def test_physical_table_and_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def measured(*names: object, **options: object) -> list[Physical]:
        seen.append((names, options))
        return [PHYSICAL]

    monkeypatch.setattr(bench, "bench_physical", measured)
    lines = run("bench", "physical", "--arch", "8x8", "--no-route", "--seed", "2").out.splitlines()
    assert lines[0].strip() == "8x8 on LFE5U-85F, speed grade 6"
    assert lines[-1] == "101.5 MHz; slowest: a -> b"
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert rows == [
        ["array", "2,000", "10", "64"],
        ["all, modules apart", "2,000", "10", "64"],
        ["all, routed", "1,900/83,640", "", ""],
    ]
    assert seen[0][0] == (("8x8",), None)
    assert {key: seen[0][1][key] for key in ("route", "seed")} == {"route": False, "seed": 2}
    figures = json.loads(run("bench", "physical", "--json", "-").out)["engines"][0]
    assert {key: figures[key] for key in ("arch", "fmax_mhz", "lut", "dsp")} == {
        "arch": "8x8",
        "fmax_mhz": 101.5,
        "lut": 2000,
        "dsp": 64,
    }


def test_conformance_table_and_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [
        Outcome("test_add", ("Add",), "passed"),
        Outcome("test_pair", ("Add", "Clip"), "refused", "node 'n' (Clip): bounds 2..1; accepted: min below max"),
    ]
    monkeypatch.setattr(bench, "run_conformance", lambda step: outcomes)
    outcome = run("bench", "conformance")
    assert outcome.code == ExitCode.OK
    assert "refused (1): bounds 2..1; accepted: min below max" in outcome.out
    assert outcome.out.splitlines()[-1] == "1 passed, 50.0% of what is claimed"
    outcomes.append(Outcome("test_relu", ("Relu",), "failed", "output 'y' differs"))
    outcome = run("bench", "conformance", "--json", "-")
    assert outcome.code == ExitCode.MISMATCH
    assert outcome.refusal == "test_relu: output 'y' differs"
