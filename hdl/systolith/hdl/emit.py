# SPDX-License-Identifier: Apache-2.0
"""The engine as one file of readable Verilog, one module a kind of block."""

from __future__ import annotations

import re
from typing import Any

from amaranth.back.verilog import find_yosys

from systolith.hdl.engine import Engine
from systolith.hdl.header import file_header
from systolith.hdl.merge import merge_modules
from systolith.hdl.outline import PREFIX, Outline, component_rtlil
from systolith.hdl.ram import RAM_MODULE, RAM_VERILOG
from systolith.hdl.target import Target
from systolith.spec.arch import Arch

__all__ = ["TOP", "component_verilog", "emit_verilog"]

TOP = f"{PREFIX}engine"
"""Name of the engine's module."""

YOSYS_VERSION = (0, 40)
"""The oldest that reads what Amaranth 0.5 writes."""

_EMPTY_WIRE = re.compile(r"^ *(?:wire|reg) \[-1:0\] .*;\n", re.MULTILINE)
"""A signal that an architecture leaves without bits: Verilog has none such, and nothing refers to it."""

_PASSES = ("proc -nomux -norom", "memory_collect", "opt_clean -purge", "write_verilog -norename -noattr")
"""Yosys as translator: processes stay processes, so that the text reads like the source."""


def emit_verilog(arch: Arch, *, target: Target = Target.GENERIC) -> str:
    """The engine's Verilog: Verilog-2005 with a header that documents it. The top module is :data:`TOP`.

    Args:
        arch: the architecture.
        target: GENERIC for simulation and for any tool; others contain that family's primitives.

    Raises:
        ValueError: the target's primitives cannot do what ``arch`` asks for.
    """
    return file_header(arch, TOP) + component_verilog(Engine(arch=arch, target=target), name=TOP)


def component_verilog(component: Any, *, name: str, merge: bool = True) -> str:
    """The Verilog of one component and everything in it, without the header.

    Args:
        component: an Amaranth component.
        name: of its module.
        merge: False writes one module an instance, as Amaranth does.
    """
    if not merge:
        return _translate(component_rtlil(component, name))
    outline = Outline()
    outline.write(component, name)
    verilog = _translate(merge_modules("".join(outline.texts.values()), top=name, prefix=PREFIX))
    return verilog + ("\n" + RAM_VERILOG if f" {RAM_MODULE} " in verilog else "")


def _translate(text: str) -> str:
    yosys = find_yosys(lambda version: version >= YOSYS_VERSION)
    script = "\n".join(["read_rtlil <<rtlil", text, "rtlil", *_PASSES, ""])
    # the one warning is that processes cannot always be translated; those of Amaranth can
    return _EMPTY_WIRE.sub("", yosys.run(["-q", "-"], script, ignore_warnings=True))
