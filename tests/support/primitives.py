# SPDX-License-Identifier: Apache-2.0
"""Verilog models of the primitives that the engine instantiates, for Icarus.

All are Yosys's but MULT18X18D, which Yosys only knows as a black box; its model is written from Lattice, *ECP5 and
ECP5-5G sysDSP Usage Guide* (FPGA-TN-02205): operand, pipeline and output registers with a clock enable each, signed or
unsigned operands; no shift inputs. Everything powers up undefined.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["NEEDS_PYOSYS", "ecp5_models", "yosys_models"]

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


def yosys_models(name: str) -> str:
    """A file of Yosys's share folder."""
    assert _PYOSYS is not None
    assert _PYOSYS.origin is not None
    return (Path(_PYOSYS.origin).parent / "share" / name).read_text()


def ecp5_models() -> str:
    """The multiplier block and the carry chain's cell."""
    return _MULT18X18D + yosys_models("ecp5/ccu2c_sim.vh") + _LUTS
