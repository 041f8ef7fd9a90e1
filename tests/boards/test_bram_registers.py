# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from systolith.boards.bram_registers import absorb_registers, main
from systolith.hdl.ram import RAM_MODULE, RAM_VERILOG
from tests.support.icarus import run_bench, twin_bench
from tests.support.primitives import NEEDS_PYOSYS, bram_models
from tests.support.simulators import needs

NET = {"clk": 2, "enable": 3, "out": 10, "q": 20}


def _register(bit: int, **changes: Any) -> dict[str, Any]:
    parameters = {"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET"}
    pins = {"CLK": [NET["clk"]], "DI": [NET["out"] + bit], "LSR": ["0"], "Q": [NET["q"] + bit]}
    directions = {pin: "output" if pin == "Q" else "input" for pin in (*pins, "CE")}
    for key, value in changes.items():
        (parameters if key in parameters else pins)[key] = value
    return {"type": "TRELLIS_FF", "parameters": parameters, "connections": pins, "port_directions": directions}


def _netlist(*registers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A block whose port B is read through registers."""
    pins: dict[str, Any] = {f"DOB{bit}": [NET["out"] + bit] for bit in range(18)}
    for port in "AB":
        pins |= {f"CLK{port}": [NET["clk"]], f"CE{port}": ["1"], f"OCE{port}": ["0"], f"RST{port}": ["0"]}
    parameters = {f"REGMODE_{port}": "NOREG" for port in "AB"} | {f"CLK{port}MUX": f"CLK{port}" for port in "AB"}
    parameters["DATA_WIDTH_B"] = f"{18:032b}"
    for key, value in changes.items():
        (parameters if key in parameters else pins)[key] = value
    directions = {pin: "output" if pin.startswith("DO") else "input" for pin in pins}
    block = {"type": "DP16KD", "parameters": parameters, "connections": pins, "port_directions": directions}
    cells = {"block": block} | {f"register{index}": register for index, register in enumerate(registers)}
    return {"modules": {"top": {"cells": cells, "ports": {}}}}


def _block(netlist: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = netlist["modules"]["top"]["cells"]["block"]
    return found


def test_registers_behind_all_outputs_move_into_the_block() -> None:
    netlist = _netlist(_register(0), _register(1))
    assert absorb_registers(netlist) == 2
    block = _block(netlist)
    assert list(netlist["modules"]["top"]["cells"]) == ["block"]
    assert [block["connections"][pin] for pin in ("DOB0", "DOB1", "OCEB")] == [[20], [21], ["1"]]
    assert [block["parameters"][f"REGMODE_{port}"] for port in "AB"] == ["NOREG", "OUTREG"]


def test_an_enable_becomes_the_output_registers() -> None:
    netlist = _netlist(_register(0, CEMUX="CE", CE=[NET["enable"]]))
    assert absorb_registers(netlist) == 1
    assert _block(netlist)["connections"]["OCEB"] == [NET["enable"]]


@pytest.mark.parametrize(
    ("registers", "changes"),
    [
        ([_register(0), _register(0, Q=[99])], {}),
        ([_register(0), _register(1, CLK=[NET["enable"]])], {}),
        ([_register(0, LSR=[NET["enable"]])], {}),
        ([_register(0, REGSET="SET")], {}),
        ([_register(0, CLKMUX="INV")], {}),
        ([_register(0), _register(1, CEMUX="CE", CE=[NET["enable"]])], {}),
        ([_register(0)], {"CEB": [NET["enable"]]}),
        ([_register(0)], {"RSTB": [NET["enable"]]}),
        ([_register(0)], {"REGMODE_B": "OUTREG"}),
        ([_register(0)], {"DOA0": [NET["out"] + 1]}),
        ([_register(0)], {"DOA0": [NET["out"] + 1], "DATA_WIDTH_B": f"{36:032b}", "CLKA": [99]}),
        ([], {}),
    ],
    ids=[
        "read twice",
        "clocks",
        "reset",
        "set",
        "edge",
        "enables",
        "port enable",
        "block reset",
        "used",
        "port",
        "half a clock",
        "none",
    ],
)
def test_what_would_change_the_behaviour_stays(registers: list[dict[str, Any]], changes: dict[str, Any]) -> None:
    netlist = _netlist(*registers, **changes)
    if "DOA0" in changes:
        netlist["modules"]["top"]["cells"]["other"] = _register(1)
        del _block(netlist)["connections"]["DOB1"]
    before = json.dumps(netlist)
    assert absorb_registers(netlist) == 0
    assert json.dumps(netlist) == before


def test_port_and_registers_may_be_enabled_together() -> None:
    netlist = _netlist(_register(0, CEMUX="CE", CE=[NET["enable"]]), CEB=[NET["enable"]])
    assert absorb_registers(netlist) == 1
    assert [_block(netlist)["connections"][pin] for pin in ("CEB", "OCEB")] == [[NET["enable"]]] * 2


def test_an_output_of_the_design_stays() -> None:
    netlist = _netlist(_register(0))
    netlist["modules"]["top"]["ports"] = {"o": {"bits": [NET["out"]]}}
    assert absorb_registers(netlist) == 0


def test_command_changes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "top.json"
    path.write_text(json.dumps(_netlist(_register(0))))
    main([str(path)])
    assert capsys.readouterr().out == "1 registers moved into block RAMs\n"
    assert _block(json.loads(path.read_text()))["parameters"]["REGMODE_B"] == "OUTREG"


def _design(width: int, depth: int, *, enable: bool, shared: bool) -> str:
    address = (depth - 1).bit_length()
    read = "write_en ? write_addr : read_addr" if shared else "read_addr"
    return f"""
module plain(input clk, rst, take, input [{address - 1}:0] read_addr, write_addr, input write_en,
             input [{width - 1}:0] write_data, output reg [{width - 1}:0] q);
  wire [{width - 1}:0] line;
  wire [{address - 1}:0] address = {read};
  {RAM_MODULE} #(.WIDTH({width}), .DEPTH({depth}), .ADDRESS({address})) ram(
    .clk(clk), .read_en(1'b1), .read_addr(address), .read_data(line),
    .write_en(write_en), .write_addr({"address" if shared else "write_addr"}), .write_data(write_data));
  always @(posedge clk) if ({"take" if enable else "1'b1"}) q <= line;
endmodule
"""


def _yosys(folder: Path, script: str) -> None:
    (folder / "s.ys").write_text(script)
    command = [sys.executable, "-m", "systolith.boards.yosys", "-q", "-l", "log", "s.ys"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.mark.sim
@pytest.mark.synth
@needs("icarus")
@NEEDS_PYOSYS
@pytest.mark.parametrize(
    ("width", "depth", "enable", "shared", "moved"),
    [
        (72, 512, False, False, 72),
        (30, 500, True, False, 30),
        (9, 2048, True, False, 9),
        (4, 4096, False, True, 4),
        (2, 16384, False, True, 2),
    ],
)
def test_the_netlist_computes_the_same(
    tmp_path: Path, width: int, depth: int, enable: bool, shared: bool, moved: int
) -> None:
    text = RAM_VERILOG + _design(width, depth, enable=enable, shared=shared)
    (tmp_path / "plain.v").write_text(text)
    _yosys(tmp_path, "read_verilog plain.v\nsynth_ecp5 -abc9 -top plain -json top.json\n")
    netlist = json.loads((tmp_path / "top.json").read_text())
    assert absorb_registers(netlist) == moved
    netlist["modules"]["moved"] = netlist["modules"].pop("plain")
    (tmp_path / "top.json").write_text(json.dumps(netlist))
    _yosys(tmp_path, "read_json top.json\nwrite_verilog -noattr moved.v\n")
    address = (depth - 1).bit_length()
    inputs = {"take": 1, "write_en": 1, "read_addr": address, "write_addr": address, "write_data": width}
    # eight lines, all written first; never is a line read that is being written
    step = depth // 8 - 1
    drive = f"""
      place = cycle < 8 ? cycle : $random; other = place + 1 + ($random & 3);
      write_addr = place * {step}; read_addr = other * {step};
      write_en = cycle < 48 ? 1 : $random; take = cycle < 48 ? 1 : $random;
      write_data = {{$random, $random, $random}};"""
    bench = twin_bench(
        ("plain", "moved"), inputs, {"q": width}, cycles=3000, settle=48, drive=drive, declare="reg [2:0] place, other;"
    )
    output = run_bench(tmp_path, bench, bram_models(), text, (tmp_path / "moved.v").read_text())
    assert output.splitlines()[-1] == "3000 cycles, 0 different"
