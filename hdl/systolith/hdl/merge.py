# SPDX-License-Identifier: Apache-2.0
"""One module for many: structurally identical modules of an RTLIL text become one, with a readable name.

Amaranth writes a module for every instance of a component. Two modules are identical if they differ only in their own
names, the names of identical children, source locations, and the order of their wires and ports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["merge_modules"]

_MODULE = re.compile(r"^module \\(\S+)\n(.*?)^end\n", re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"^( *cell) \\(\S+) ", re.MULTILINE)
_NOISE = re.compile(r"^ *attribute \\(?:src|generator|top|amaranth\.hierarchy) .*\n", re.MULTILINE)
_PORT = re.compile(r" (input|output|inout) \d+ ")
_WIRE = re.compile(r"^ *wire ")


def _retype(body: str, names: Mapping[str, str]) -> str:
    """``body`` with the cells' types replaced by ``names`` where they have one."""
    return _CELL.sub(lambda match: f"{match[1]} \\{names.get(match[2], match[2])} ", body)


def _signature(body: str) -> str:
    """What two identical modules have in common."""
    lines = [line for line in body.splitlines() if line.strip()]
    wires = sorted(_PORT.sub(r" \1 ", line) for line in lines if _WIRE.match(line))
    return "\n".join([*wires, *(line for line in lines if not _WIRE.match(line))])


class _Merger:
    """Finds for each module the first one that is identical to it, children before parents."""

    def __init__(self, bodies: Mapping[str, str]) -> None:
        self._bodies = bodies
        self._by_signature: dict[str, str] = {}
        self.chosen: dict[str, str] = {}

    def choose(self, name: str) -> str:
        if name not in self.chosen:
            body = self._bodies[name]
            children = {match[2] for match in _CELL.finditer(body) if match[2] in self._bodies}
            typed = _retype(body, {child: self.choose(child) for child in sorted(children)})
            self.chosen[name] = self._by_signature.setdefault(_signature(typed), name)
        return self.chosen[name]


def _readable(path: str, prefix: str, taken: set[str]) -> str:
    """A free name from the last part of a hierarchical one, without its number."""
    last = re.sub(r"\W+", "_", path.rpartition(".")[2]).removeprefix(prefix)
    base = prefix + re.sub(r"_?\d+(?=_|$)", "", last)
    number = 1
    while (name := f"{base}_{number}" if number > 1 else base) in taken:
        number += 1
    return name


def merge_modules(rtlil: str, *, top: str, prefix: str) -> str:
    """``rtlil`` with one module where there were several identical ones.

    Args:
        rtlil: text as Amaranth writes it; modules are named by their place in the hierarchy.
        top: the module that keeps its name. What it does not contain is left out.
        prefix: of all names.
    """
    bodies = {match[1]: match[2] for match in _MODULE.finditer(_NOISE.sub("", rtlil))}
    merger = _Merger(bodies)
    merger.choose(top)
    names = {top: top}
    for name in sorted(set(merger.chosen.values()) - {top}, key=list(bodies).index):
        names[name] = _readable(name, prefix, set(names.values()))
    types = {name: names[choice] for name, choice in merger.chosen.items()}
    return "\n".join(f"module \\{names[name]}\n{_retype(bodies[name], types)}end\n" for name in names)
