# SPDX-License-Identifier: Apache-2.0
"""What a simulator is built from: Verilog text, or a component for Amaranth's own simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from systolith.spec.arch import Arch

__all__ = ["Design"]


@dataclass(frozen=True, kw_only=True)
class Design:
    """A design with the engine's ports."""

    arch: Arch
    top: str
    """Name of the top module."""
    key: str
    """Identity of the Verilog text: equal keys mean equal text."""
    verilog: Callable[[], str]
    """Makes the text."""
    component: Callable[[], Any] | None = None
    """Makes the Amaranth component; None where there is only Verilog."""
