# SPDX-License-Identifier: Apache-2.0
"""The memory behind all others: synchronous, one read and one write port.

In an emission it is an instance of one Verilog module. Elsewhere it is written as a memory with a register behind it,
marked such that synthesis need not define what a read of the line being written gives: block RAMs do not define it, and
making them do so takes a register and a multiplexer for every bit of a line.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockSignal, Instance, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from systolith.hdl.outline import PREFIX, Outline
from systolith.spec.arch import clog2

__all__ = ["RAM_MODULE", "RAM_VERILOG", "Ram"]

RAM_MODULE = f"{PREFIX}ram"
"""Name of the Verilog module."""

RAM_VERILOG = f"""\
// Synchronous memory with one read and one write port. The data stay until the next read. What a read of the line that
// is being written gives does not matter to the engine, nor do the initial contents: simulation starts from zeros to
// be free of X.
module {RAM_MODULE} #(
  parameter WIDTH = 8,
  parameter DEPTH = 2,
  parameter ADDRESS = 1
) (
  input wire clk,
  input wire read_en,
  input wire [ADDRESS-1:0] read_addr,
  output reg [WIDTH-1:0] read_data,
  input wire write_en,
  input wire [ADDRESS-1:0] write_addr,
  input wire [WIDTH-1:0] write_data
);
  (* no_rw_check *)
  reg [WIDTH-1:0] lines [0:DEPTH-1];
`ifndef SYNTHESIS
  integer index;
  initial begin
    read_data = {{WIDTH{{1'b0}}}};
    for (index = 0; index < DEPTH; index = index + 1) lines[index] = {{WIDTH{{1'b0}}}};
  end
`endif
  always @(posedge clk) begin
    if (read_en) read_data <= lines[read_addr];
    if (write_en) lines[write_addr] <= write_data;
  end
endmodule
"""


class Ram(wiring.Component):
    """``depth`` lines of ``bits`` bits.

    A read takes one cycle; the data stay until the next read. In simulation a read of the line that is being written
    gives its old contents; nothing may rely on it.

    Members: ``read_en``, ``read_addr`` (In), ``read_data`` (Out), ``write_en``, ``write_addr``, ``write_data`` (In).
    """

    def __init__(self, *, bits: int, depth: int) -> None:
        """Build; raises ValueError for sizes that make no memory."""
        if bits < 1 or depth < 2:
            raise ValueError(f"a memory needs 1 bit and 2 lines or more, got {bits} bits and {depth} lines")
        self._depth = depth
        address = clog2(depth)
        super().__init__(
            {
                "read_en": In(1),
                "read_addr": In(address),
                "read_data": Out(bits),
                "write_en": In(1),
                "write_addr": In(address),
                "write_data": In(bits),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from ``read_en`` to the data."""
        return 1

    def elaborate(self, platform: Any) -> Module | Instance:
        if isinstance(platform, Outline):
            return self._place()
        m = Module()
        m.submodules.lines = lines = memory.Memory(
            shape=len(self.read_data), depth=self._depth, init=[], attrs={"no_rw_check": 1}
        )
        read, write = lines.read_port(domain="comb"), lines.write_port()
        held = Signal.like(self.read_data, name="held", reset_less=True)
        with m.If(self.read_en):
            m.d.sync += held.eq(read.data)
        m.d.comb += [
            read.addr.eq(self.read_addr),
            self.read_data.eq(held),
            write.en.eq(self.write_en),
            write.addr.eq(self.write_addr),
            write.data.eq(self.write_data),
        ]
        return m

    def _place(self) -> Instance:
        return Instance(
            RAM_MODULE,
            p_WIDTH=len(self.read_data),
            p_DEPTH=self._depth,
            p_ADDRESS=len(self.read_addr),
            i_clk=ClockSignal(),
            i_read_en=self.read_en,
            i_read_addr=self.read_addr,
            o_read_data=self.read_data,
            i_write_en=self.write_en,
            i_write_addr=self.write_addr,
            i_write_data=self.write_data,
        )
