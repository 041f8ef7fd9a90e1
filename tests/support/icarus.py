# SPDX-License-Identifier: Apache-2.0
"""Two modules in lock step in Icarus: the same random or given inputs, all outputs compared every cycle."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

__all__ = ["run_bench", "twin_bench"]


def run_bench(folder: Path, *sources: str, top: str = "bench") -> str:
    """Compile and run Verilog texts; the simulation's output."""
    paths = []
    for index, text in enumerate(sources):
        paths.append(folder / f"source{index}.v")
        paths[-1].write_text(text)
    command = ["iverilog", "-g2005", "-o", str(folder / "bench.vvp"), "-s", top, *map(str, paths)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    reply = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True)
    return reply.stdout


def _range(bits: int) -> str:
    return f"[{bits - 1}:0]"


def twin_bench(
    modules: tuple[str, str],
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
    *,
    cycles: int,
    settle: int = 0,
    drive: str,
    declare: str = "",
    finish: str = "",
) -> str:
    """A bench that ends with ``cycles`` and the number of differing ones.

    Args:
        modules: the two to compare; both have the ports and ``clk`` and ``rst``.
        inputs: bits by port name.
        outputs: bits by port name.
        cycles: to run.
        settle: cycles at the beginning in which outputs may differ.
        drive: statements executed at each falling edge, to set the inputs; may read ``first_<output>`` and ``cycle``.
        declare: variables of ``drive``.
        finish: statements executed at the end.
    """
    lines = ["module bench;", "reg clk = 0, rst = 1;", "integer cycle, different;", declare]
    lines += [f"reg {_range(bits)} {name} = 0;" for name, bits in inputs.items()]
    for prefix in ("first", "second"):
        lines += [f"wire {_range(bits)} {prefix}_{name};" for name, bits in outputs.items()]
    for prefix, module in zip(("first", "second"), modules, strict=True):
        ports = [f".{name}({name})" for name in ("clk", "rst", *inputs)]
        ports += [f".{name}({prefix}_{name})" for name in outputs]
        lines.append(f"{module} {prefix} ({', '.join(ports)});")
    differ = " || ".join(f"first_{name} !== second_{name}" for name in outputs)
    lines += [
        "initial begin different = 0;",
        f"for (cycle = 0; cycle < {cycles}; cycle = cycle + 1) begin",
        "#5 clk = 1; #5 clk = 0; rst = cycle < 2;",
        drive,
        f"#1 if (cycle >= {settle} && ({differ})) different = different + 1;",
        f"end {finish}",
        '$display("%0d cycles, %0d different", cycle, different); $finish; end',
        "endmodule",
    ]
    return "\n".join(lines)
