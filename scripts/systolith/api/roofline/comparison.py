# SPDX-License-Identifier: Apache-2.0
"""The same integer network on other engines, compiled and predicted here: no figure is taken from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from systolith.compiler.errors import CompileError
from systolith.compiler.ir import Graph
from systolith.compiler.lower import lower
from systolith.spec.arch import Arch

from ..flow import Step, no_step
from .figures import Figures, roofline_figures
from .words import memory_bytes

__all__ = ["compare"]


def _row(figures: Figures, own: Figures) -> dict[str, Any]:
    """What tells engines apart, relative to the build's own."""
    arch = figures["arch"]
    return {
        "arch": arch["name"],
        "hash": arch["hash"],
        "rows": arch["rows"],
        "cols": arch["cols"],
        "memory_bytes": memory_bytes(arch),
        **{key: figures[key] for key in ("cycles", "utilisation", "macs_per_cycle", "bytes_moved", "bound")},
        "multipliers": figures["roofs"]["macs_per_cycle"],
        "bytes_per_mac": figures["bytes_moved"] / figures["macs"] if figures["macs"] else None,
        "speed": own["cycles"] / figures["cycles"],
        "refused": None,
    }


def _refused(arch: Arch, error: CompileError) -> dict[str, Any]:
    """An engine that the network does not go on, and why."""
    return {"arch": arch.name, "hash": f"{arch.hash:08x}", "rows": arch.rows, "cols": arch.cols, "refused": str(error)}


def compare(own: Figures, network: Graph, archs: Sequence[Arch], step: Step = no_step) -> list[dict[str, Any]]:
    """A row for the build's own engine and one for each of ``archs``.

    Args:
        own: figures of the build.
        network: the integer network that it was compiled from.
        archs: the other engines; one that the network does not fit gets a row that says why.
        step: told the progress.
    """
    rows = [_row(own, own)]
    for index, arch in enumerate(archs):
        step(f"compile for {arch.name}", index, len(archs))
        try:
            rows.append(_row(roofline_figures(lower(network, arch)), own))
        except CompileError as error:
            rows.append(_refused(arch, error))
    return rows
