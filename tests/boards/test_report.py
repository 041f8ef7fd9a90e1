# SPDX-License-Identifier: Apache-2.0
import json
from dataclasses import replace
from pathlib import Path

from systolith.boards.report import BuildReport, Use, read_nextpnr_report

REPORT = BuildReport(
    board="icebreaker",
    arch="icebreaker",
    arch_hash=0x1234,
    key="k",
    bitstream="icebreaker.bin",
    clock_mhz=24.0,
    fmax_mhz=28.5,
    critical_path="a -> b",
    baud=1_000_000,
    use={"lut": Use(4447, 5280)},
    seconds={"synthesis": 3.0},
)


def test_json_and_back() -> None:
    data = json.loads(json.dumps(REPORT.to_json()))
    assert data["meets_timing"] is True
    assert BuildReport.from_json(data) == REPORT


def test_text_names_the_figures() -> None:
    text = REPORT.text()
    assert "28.5 MHz possible, 24 MHz needed: met" in text
    assert "lut          4447 of   5280    84%" in text
    assert "MISSED" in replace(REPORT, fmax_mhz=23.9).text()


def _leg(kind: str, delay: float, start: str, end: str) -> dict[str, object]:
    return {"type": kind, "delay": delay, "from": {"cell": start}, "to": {"cell": end}}


def test_reads_what_nextpnr_writes(tmp_path: Path) -> None:
    data = {
        "fmax": {"clk": {"achieved": 28.66, "constraint": 24.0}, "other": {"achieved": 90.0, "constraint": 12.0}},
        "critical_paths": [
            {"from": "<async>", "to": "posedge clk", "path": [_leg("routing", 99.0, "pin", "x")]},
            {
                "from": "posedge clk",
                "to": "posedge clk",
                "path": [_leg("clk-to-q", 1.0, "a", "a"), _leg("routing", 2.0, "a", "b")],
            },
        ],
        "utilization": {"ICESTORM_LC": {"used": 10, "available": 20}, "SB_IO": {"used": 1, "available": 2}},
    }
    path = tmp_path / "report.json"
    path.write_text(json.dumps(data))
    fmax, slowest, use = read_nextpnr_report(path, {"lut": "ICESTORM_LC", "dsp": "ICESTORM_DSP"})
    assert fmax == 28.66
    assert slowest == "a -> b"
    assert use == {"lut": Use(10, 20)}
