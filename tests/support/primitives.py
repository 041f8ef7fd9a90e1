# SPDX-License-Identifier: Apache-2.0
"""Verilog models of the primitives that the engine instantiates or synthesis infers, for Icarus.

All are Yosys's but those that Yosys only knows as black boxes, which are written from Lattice's guides. MULT18X18D
(*ECP5 and ECP5-5G sysDSP Usage Guide*, FPGA-TN-02205): operand, pipeline and output registers with a clock enable
each, signed or unsigned operands; no shift inputs. DP16KD (*ECP5 and ECP5-5G Memory Usage Guide*, FPGA-TN-02204): both
ports of one width, no reset, a read shows the old contents; lines of 36 bits are written through port A and read
through B. Everything powers up undefined.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["NEEDS_PYOSYS", "bram_models", "ecp5_models", "yosys_models"]

_PYOSYS = find_spec("pyosys")

NEEDS_PYOSYS = pytest.mark.skipif(_PYOSYS is None, reason="needs the primitives' models of Yosys (pip install pyosys)")

_BITS = range(17, -1, -1)
_A, _B, _C = (", ".join(f"{port}{bit}" for bit in _BITS) for port in "ABC")
_P = ", ".join(f"P{bit}" for bit in range(35, -1, -1))

_MULT18X18D = f"""
module MULT18X18D(
  input {_A}, {_B}, {_C},
  input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, CE1, RST0, RST1, RST2, RST3,
  output {_P}
);
  parameter REG_INPUTA_CLK = "NONE", REG_INPUTA_CE = "CE0", REG_INPUTA_RST = "RST0";
  parameter REG_INPUTB_CLK = "NONE", REG_INPUTB_CE = "CE0", REG_INPUTB_RST = "RST0";
  parameter REG_PIPELINE_CLK = "NONE", REG_PIPELINE_CE = "CE0", REG_PIPELINE_RST = "RST0";
  parameter REG_OUTPUT_CLK = "NONE", REG_OUTPUT_CE = "CE0", REG_OUTPUT_RST = "RST0";
  wire signed [18:0] a = {{SIGNEDA & A17, {_A}}}, b = {{SIGNEDB & B17, {_B}}};
  reg signed [18:0] a_reg, b_reg;
  wire signed [18:0] a_used = REG_INPUTA_CLK == "CLK0" ? a_reg : a, b_used = REG_INPUTB_CLK == "CLK0" ? b_reg : b;
  reg signed [35:0] pipe, out;
  wire signed [35:0] product = a_used * b_used, piped = REG_PIPELINE_CLK == "CLK0" ? pipe : product;
  assign {{{_P}}} = REG_OUTPUT_CLK == "CLK0" ? out : piped;
  always @(posedge CLK0) begin
    if (REG_INPUTA_CE == "CE1" ? CE1 : CE0) a_reg <= a;
    if (REG_INPUTB_CE == "CE1" ? CE1 : CE0) b_reg <= b;
    if (REG_PIPELINE_CE == "CE1" ? CE1 : CE0) pipe <= product;
    if (REG_OUTPUT_CE == "CE1" ? CE1 : CE0) out <= piped;
  end
endmodule
"""

_LUTS = """
module LUT4(input A, B, C, D, output Z);
  parameter [15:0] INIT = 0;
  assign Z = INIT[{D, C, B, A}];
endmodule
module LUT2(input A, B, output Z);
  parameter [3:0] INIT = 0;
  assign Z = INIT[{B, A}];
endmodule
"""


_DATA, _ADDRESS = range(17, -1, -1), range(13, -1, -1)


def _bus(stem: str, bits: range) -> str:
    return ", ".join(f"{stem}{bit}" for bit in bits)


def _port(port: str, other: str) -> str:
    """One port of the block; ``other`` has the upper half of a line of 36 bits."""
    return f"""
  wire [13:0] address{port} = {{{_bus(f"AD{port}", _ADDRESS)}}};
  wire [17:0] in{port} = {{{_bus(f"DI{port}", _DATA)}}};
  reg [35:0] latch{port}, out{port};
  wire [35:0] shown{port} = REGMODE_{port} == "OUTREG" ? out{port} : latch{port};
  always @(posedge CLK{port}) begin
    if (OCE{port}) out{port} <= latch{port};
    if (CE{port}) begin
      latch{port} <= lines[address{port} >> SHIFT];
      if (WE{port}) begin
        if (DATA_WIDTH_A < 18) lines[address{port} >> SHIFT] <= in{port};
        else if (DATA_WIDTH_A == 18) begin
          if (address{port}[0]) lines[address{port} >> SHIFT][8:0] <= in{port}[8:0];
          if (address{port}[1]) lines[address{port} >> SHIFT][17:9] <= in{port}[17:9];
        end else begin
          if (address{port}[0]) lines[address{port} >> SHIFT][8:0] <= in{port}[8:0];
          if (address{port}[1]) lines[address{port} >> SHIFT][17:9] <= in{port}[17:9];
          if (address{port}[2]) lines[address{port} >> SHIFT][26:18] <= in{other}[8:0];
          if (address{port}[3]) lines[address{port} >> SHIFT][35:27] <= in{other}[17:9];
        end
      end
    end
  end"""


_PINS = [f"{stem}{port}" for port in "AB" for stem in ("CE", "OCE", "CLK", "WE", "RST")]

_DP16KD = f"""
module DP16KD(
  input {", ".join(_bus(f"{stem}{port}", bits) for port in "AB" for stem, bits in (("DI", _DATA), ("AD", _ADDRESS)))},
  input {", ".join(_PINS)}, CSA0, CSA1, CSA2, CSB0, CSB1, CSB2,
  output {", ".join(_bus(f"DO{port}", _DATA) for port in "AB")}
);
  parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18, REGMODE_A = "NOREG", REGMODE_B = "NOREG", RESETMODE = "SYNC";
  parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000", WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL";
  parameter GSR = "DISABLED", CLKAMUX = "CLKA", CLKBMUX = "CLKB", ASYNC_RESET_RELEASE = "SYNC", INIT_DATA = "STATIC";
  localparam SHIFT = DATA_WIDTH_A == 36 ? 5 : DATA_WIDTH_A == 18 ? 4 : DATA_WIDTH_A == 9 ? 3 : DATA_WIDTH_A >> 1;
  reg [35:0] lines [0:16383];{_port("A", "B")}{_port("B", "A")}
  wire both = DATA_WIDTH_B == 36;
  assign {{{_bus("DOB", _DATA)}}} = both ? shownB[35:18] : shownB[17:0];
  assign {{{_bus("DOA", _DATA)}}} = both ? (REGMODE_A == "OUTREG" ? outB[17:0] : latchB[17:0]) : shownA[17:0];
endmodule
"""

_FLIP_FLOP = """
module TRELLIS_FF(input CLK, LSR, CE, DI, output reg Q);
  parameter GSR = "ENABLED", CEMUX = "1", CLKMUX = "CLK", LSRMUX = "LSR", REGSET = "RESET", SRMODE = "ASYNC";
  always @(posedge CLK)
    if (LSR) Q <= REGSET == "SET"; else if (CEMUX == "CE" ? CE : 1'b1) Q <= DI;
endmodule
"""


def yosys_models(name: str) -> str:
    """A file of Yosys's share folder."""
    assert _PYOSYS is not None
    assert _PYOSYS.origin is not None
    return (Path(_PYOSYS.origin).parent / "share" / name).read_text()


def ecp5_models() -> str:
    """The multiplier block and the carry chain's cell."""
    return _MULT18X18D + yosys_models("ecp5/ccu2c_sim.vh") + _LUTS


def bram_models() -> str:
    """The block RAM and what lies around it."""
    return _DP16KD + _FLIP_FLOP + ecp5_models()
