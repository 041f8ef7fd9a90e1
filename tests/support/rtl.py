# SPDX-License-Identifier: Apache-2.0
"""Compiled networks in RTL."""

from __future__ import annotations

from pathlib import Path

from systolith.api.checks import check
from systolith.api.flow import Compiled

__all__ = ["assert_rtl_is_exact"]


def assert_rtl_is_exact(compiled: Compiled, folder: Path, seed: int) -> None:
    """Integer reference, ISA model and RTL in Verilator agree on two real and two random inputs, store by store."""
    figures = check(compiled.write(folder / "build"), simulator="verilator", samples=2, randoms=2, seed=seed)
    assert figures["findings"] == []
    assert figures["stores"] > 0
