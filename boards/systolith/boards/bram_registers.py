# SPDX-License-Identifier: Apache-2.0
"""Registers behind block RAMs go into the block RAMs: a step between synthesis and routing for the ECP5.

A DP16KD answers 5.7 ns after its clock, and 1 ns after it through the output registers that it has itself, which Yosys
(0.70) does not use. Where every used output bit of a block goes to a flip-flop and nowhere else, all of them alike,
these become the block's own: the netlist computes the same in every cycle, with fewer cells and without the way from
block to flip-flop. The port must be enabled all the time or like the flip-flops: Lattice's *ECP5 and ECP5-5G Memory
Usage Guide* (FPGA-TN-02204) does not say whether the output register loads while the port is not enabled.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["absorb_registers", "main"]

_OUTPUT = re.compile(r"DO([AB])\d+")

Cell = dict[str, Any]


def absorb_registers(netlist: Mapping[str, Any]) -> int:
    """Move registers into block RAMs, in place; the number of flip-flops that went.

    ``netlist`` is what Yosys's ``write_json`` writes after ``synth_ecp5``.
    """
    return sum(_absorb_in(module) for module in netlist["modules"].values())


def _absorb_in(module: Mapping[str, Any]) -> int:
    cells: dict[str, Cell] = module["cells"]
    sinks = _sinks(module)
    gone = 0
    for block in [cell for cell in cells.values() if cell["type"] == "DP16KD"]:
        registers = _registers(block, cells, sinks)
        if registers:
            _move(block, cells, registers)
            gone += len(registers)
    return gone


def _sinks(module: Mapping[str, Any]) -> Mapping[int, list[tuple[str, str]]]:
    """Cell and pin of everything that reads a net; a port of the module has no cell."""
    sinks: dict[int, list[tuple[str, str]]] = {}
    for name, cell in module["cells"].items():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"].get(pin) == "input":
                for bit in bits:
                    sinks.setdefault(bit, []).append((name, pin))
    for port in module["ports"].values():
        for bit in port["bits"]:
            sinks.setdefault(bit, []).append(("", ""))
    return sinks


def _outputs(block: Cell, sinks: Mapping[int, list[tuple[str, str]]]) -> Iterator[tuple[str, int]]:
    """Output pins in use, and their nets."""
    for pin, bits in block["connections"].items():
        if _OUTPUT.fullmatch(pin) and bits and sinks.get(bits[0]):
            yield pin, bits[0]


def _registers(block: Cell, cells: Mapping[str, Cell], sinks: Mapping[int, list[tuple[str, str]]]) -> dict[str, str]:
    """The flip-flop behind each output pin in use; empty unless all can go."""
    found: dict[str, str] = {}
    for pin, net in _outputs(block, sinks):
        (name, port), *others = sinks[net]
        if others or port != "DI" or cells[name]["type"] != "TRELLIS_FF":
            return {}
        found[pin] = name
    controls = Counter(_control(cells[name]) for name in found.values())
    if len(controls) != 1 or not _can_hold(block, found, next(iter(controls))):
        return {}
    return found


def _control(register: Cell) -> tuple[Any, ...]:
    """What flip-flops of a block must have in common: clock, its edge, enable, reset, value after configuration."""
    pins, own = register["connections"], register["parameters"]
    enable = pins["CE"][0] if own["CEMUX"] == "CE" else "1"
    return pins["CLK"][0], own["CLKMUX"], enable, pins["LSR"][0], own["REGSET"]


def _read_port(block: Cell, found: Mapping[str, str]) -> str:
    """The port that is read: B where a block shows a line of 36 bits on the pins of both."""
    ports = {pin[2] for pin in found}
    return "B" if len(ports) == 2 and int(block["parameters"]["DATA_WIDTH_B"], 2) == 36 else "".join(sorted(ports))


def _can_hold(block: Cell, found: Mapping[str, str], control: tuple[Any, ...]) -> bool:
    """Whether the block's registers do what the flip-flops did."""
    clock, edge, enable, reset, value = control
    port, pins, own = _read_port(block, found), block["connections"], block["parameters"]
    if port not in ("A", "B"):
        return False
    plain = edge == "CLK" and reset == "0" and value == "RESET" and own[f"CLK{port}MUX"] == f"CLK{port}"
    free = all(own[f"REGMODE_{each}"] == "NOREG" and pins[f"RST{each}"] == ["0"] for each in "AB")
    clocked = all(pins[f"CLK{pin[2]}"] == [clock] for pin in found)
    return plain and free and clocked and pins[f"CE{port}"] in (["1"], [enable])


def _move(block: Cell, cells: dict[str, Cell], registers: Mapping[str, str]) -> None:
    """The block drives what its flip-flops drove."""
    ports = {pin[2] for pin in registers}
    enable = _control(cells[next(iter(registers.values()))])[2]
    for port in ports:
        block["parameters"][f"REGMODE_{port}"] = "OUTREG"
        block["connections"][f"OCE{port}"] = [enable]
    for pin, name in registers.items():
        block["connections"][pin] = cells.pop(name)["connections"]["Q"]


def main(arguments: Sequence[str] | None = None) -> None:
    """``NETLIST``: change the JSON file in place."""
    parser = argparse.ArgumentParser(prog="systolith.boards.bram_registers")
    parser.add_argument("netlist", type=Path, help="JSON as Yosys writes it")
    path = parser.parse_args(arguments).netlist
    netlist = json.loads(path.read_text())
    sys.stdout.write(f"{absorb_registers(netlist)} registers moved into block RAMs\n")
    path.write_text(json.dumps(netlist))


if __name__ == "__main__":
    main()
