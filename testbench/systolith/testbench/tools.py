# SPDX-License-Identifier: Apache-2.0
"""The simulators and what they need: found or not, which version, how to get it.

Nothing is imported to find out, so the answer costs a few milliseconds and a broken package cannot break it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "SIMULATORS",
    "Tool",
    "choose_simulator",
    "cpp_compiler",
    "find_tools",
    "missing_tools",
    "verilator_environment",
    "verilator_root",
]

_SECONDS = 20
"""A tool that takes longer to tell its version is broken."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One tool as ``systolith doctor`` prints it."""

    name: str
    purpose: str
    version: str = ""
    """Empty if it was not found."""
    path: str = ""
    get: str = ""
    """How to get it."""

    @property
    def found(self) -> bool:
        """Whether it can be used."""
        return bool(self.version)


def _package_root(package: str) -> Path | None:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def _package_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _ask_version(executable: str | None, argument: str, pattern: str = r"\d+(?:\.\d+)+") -> str:
    """The first version number that ``executable argument`` prints; empty if it does not run."""
    if executable is None:
        return ""
    try:
        reply = subprocess.run([executable, argument], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.search(pattern, reply.stdout + reply.stderr)
    return match.group() if match else ""


def cpp_compiler() -> str | None:
    """Path of the C++ compiler that Verilator's makefiles would call; None if there is none."""
    return shutil.which(os.environ.get("CXX", "g++"))


def verilator_root() -> Path | None:
    """Folder of the ``verilator`` package, which serves as VERILATOR_ROOT; None if it is not installed."""
    root = _package_root("verilator")
    return root if root is not None and (root / "bin" / "verilator_bin").exists() else None


def verilator_environment(root: Path) -> dict[str, str]:
    """The process environment in which Verilator of the package at ``root`` runs and its makefiles build.

    Its makefiles of release 5.4x name a precompiled header that they do not build in this mode of use; including the
    plain header instead is always right.
    """
    path = os.pathsep.join([str(root / "bin"), os.environ.get("PATH", "")])
    return {**os.environ, "VERILATOR_ROOT": str(root), "PATH": path, "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include"}


def _verilator() -> Tool:
    root = verilator_root()
    path = str(root / "bin" / "verilator_bin") if root else ""
    return Tool(
        name="verilator",
        purpose="fast RTL simulation",
        version=_package_version("verilator") if root else "",
        path=path,
        get="pip install 'systolith[sim]'",
    )


def _cocotb() -> Tool:
    root = _package_root("cocotb")
    return Tool(
        name="cocotb",
        purpose="benches in Verilator and Icarus",
        version=_package_version("cocotb") if root else "",
        path=str(root or ""),
        get="pip install 'systolith[sim]'",
    )


def _command(name: str, purpose: str, get: str, argument: str = "--version", path: str | None = None) -> Tool:
    path = path or shutil.which(name)
    return Tool(name=name, purpose=purpose, version=_ask_version(path, argument), path=path or "", get=get)


def _compiler() -> Tool:
    return _command("g++", "compiles Verilator's output", "apt install g++ (or set CXX)", path=cpp_compiler())


def _icarus() -> Tool:
    return _command("iverilog", "RTL simulation without a C++ compiler; slow", "apt install iverilog (optional)", "-V")


def _amaranth() -> Tool:
    return Tool(
        name="amaranth",
        purpose="hardware generator, with a simulator of its own",
        version=_package_version("amaranth"),
        path=str(_package_root("amaranth") or ""),
        get="pip install systolith",
    )


_FINDERS: tuple[Callable[[], Tool], ...] = (
    _amaranth,
    _cocotb,
    _verilator,
    _compiler,
    lambda: _command("make", "builds Verilator's output", "apt install make"),
    _icarus,
    lambda: _command("perl", "Verilator's own wrapper script, not used here", "apt install perl (optional)", "-v"),
)


def find_tools() -> tuple[Tool, ...]:
    """Look for every tool that simulation can use."""
    return tuple(find() for find in _FINDERS)


SIMULATORS = {
    "verilator": ("cocotb", "verilator", "g++", "make"),
    "icarus": ("cocotb", "iverilog"),
    "amaranth": ("amaranth",),
}
"""Simulators in order of preference, and the tools each needs."""


def missing_tools(simulator: str, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Those of ``tools`` that ``simulator`` needs and that were not found. Raises KeyError for an unknown simulator."""
    return tuple(tool for tool in tools if tool.name in SIMULATORS[simulator] and not tool.found)


def choose_simulator(tools: tuple[Tool, ...]) -> tuple[str, str]:
    """The best simulator that can run, and a sentence for the user if it is not the first choice (else empty)."""
    reasons: list[str] = []
    for simulator in SIMULATORS:
        missing = missing_tools(simulator, tools)
        if not missing:
            return simulator, " ".join([*reasons, f"Using {simulator}, which is slower."] if reasons else [])
        names = ", ".join(f"{tool.name} ({tool.get})" for tool in missing)
        reasons.append(f"{simulator} needs {names}.")
    raise LookupError(" ".join(reasons))
