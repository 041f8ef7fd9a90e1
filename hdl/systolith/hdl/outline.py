# SPDX-License-Identifier: Apache-2.0
"""What emission does differently from simulation: components become instances of modules of their own.

Amaranth elaborates and writes every instance of a component anew, a thousand copies of a cell for a 32 x 32 array, and
leaves the names of ports to chance. An :class:`Outline` is passed as the platform of an elaboration: components that
are :func:`outlined` are placed as instances of modules that are written once, with the names of their ports.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Const, Instance, ResetSignal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import In

__all__ = ["PREFIX", "Outline", "component_rtlil", "flat_ports", "outlined"]

PREFIX = "systolith_"
"""Of every module name, so that none meets another design's."""

_CLOCK = re.compile(r" input \d+ +\\clk$", re.MULTILINE)


def flat_ports(component: Any) -> dict[str, tuple[Value, bool]]:
    """The signals of a component's ports by Verilog name, and whether each is an input."""
    ports = {}
    for path, member, value in component.signature.flatten(component):
        signal = Value.cast(value)
        if not isinstance(signal, Const):  # the ready of a stream that is always ready
            ports["__".join(map(str, path))] = (signal, member.flow == In)
    return ports


def component_rtlil(component: Any, name: str, platform: Any = None) -> str:
    """The RTLIL text of a component, as Amaranth writes it; ports that are never driven are outputs all the same."""
    ports = {
        port: (signal, PortDirection.Input if is_input else PortDirection.Output)
        for port, (signal, is_input) in flat_ports(component).items()
    }
    return str(rtlil.convert(component, name=name, platform=platform, ports=ports, emit_src=False))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Outline:
    """The platform of an elaboration for emission: what is outlined becomes a module of its own.

    Attributes:
        texts: the RTLIL of every module written, by name.
    """

    def __init__(self) -> None:
        """Begin with nothing written."""
        self.texts: dict[str, str] = {}
        self._known: dict[object, str] = {}
        self._being_written: list[Any] = []

    def write(self, component: Any, name: str) -> None:
        """Elaborate ``component`` as module ``name``, and write it and all that is outlined below it."""
        self.texts[name] = ""  # the name is taken before those below look for theirs
        self._being_written.append(component)
        self.texts[name] = component_rtlil(component, name, platform=self)
        self._being_written.pop()

    def place(self, component: Any) -> Instance | None:
        """An instance of the component's module; None for the component that is being written itself."""
        if component is self._being_written[-1]:
            return None
        key = getattr(component, "identity", component)
        if key not in self._known:
            self._known[key] = name = self._free_name(PREFIX + _snake(type(component).__name__))
            self.write(component, name)
        name = self._known[key]
        ports = {
            f"{'i' if is_input else 'o'}_{port}": signal for port, (signal, is_input) in flat_ports(component).items()
        }
        if _CLOCK.search(self.texts[name]):
            ports |= {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        return Instance(name, **ports)

    def _free_name(self, name: str) -> str:
        number = 1
        while (candidate := f"{name}_{number}" if number > 1 else name) in self.texts:
            number += 1
        return candidate


def outlined(elaborate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Decorate a component's ``elaborate``: in an emission it becomes a module of its own, with its ports' names.

    Where many instances are the same, the component says so by a hashable property ``identity``: of those with equal
    identities only the first is elaborated.
    """

    @wraps(elaborate)
    def elaborate_or_place(self: Any, platform: Any) -> Any:
        placed = platform.place(self) if isinstance(platform, Outline) else None
        return elaborate(self, platform) if placed is None else placed

    return elaborate_or_place
