# SPDX-License-Identifier: Apache-2.0
"""Which simulators a test can use on this machine; those that are missing skip with the reason."""

from __future__ import annotations

import pytest

from systolith.testbench.tools import find_tools, missing_tools

__all__ = ["COMPILED", "EVERY", "needs"]

_TOOLS = find_tools()


def needs(simulator: str) -> pytest.MarkDecorator:
    """Skip a test unless ``simulator`` can run here."""
    missing = missing_tools(simulator, _TOOLS)
    names = ", ".join(f"{tool.name} (get it by: {tool.get})" for tool in missing)
    return pytest.mark.skipif(bool(missing), reason=f"{simulator} needs {names}")


COMPILED = [pytest.param(name, marks=[pytest.mark.sim, needs(name)]) for name in ("verilator", "icarus")]
"""Parameters for tests that run Verilog."""

EVERY = [*COMPILED, pytest.param("amaranth")]
"""Parameters for tests that run in every simulator."""
