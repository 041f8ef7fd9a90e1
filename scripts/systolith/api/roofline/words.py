# SPDX-License-Identifier: Apache-2.0
"""Figures and names as both the page and the text show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "CLASS_NAMES",
    "NO_TENSORS",
    "class_name",
    "clip",
    "data_size",
    "duration",
    "engine_facts",
    "layers_of",
    "memory_bytes",
    "percent",
    "quantity",
    "times",
]

NO_TENSORS = "this build folder is of an older version, which did not keep where tensors lie; compile it again"
"""Shown instead of the memory's occupancy."""

CLASS_NAMES = {
    "useful": "useful",
    "idle": "padding",
    "weight_load": "weight load",
    "memory_stall": "memory stall",
    "drain": "drain, lanes",
    "non_matrix": "not matrix",
}
"""Short names of the classes of attribution."""


def class_name(name: str) -> str:
    """A class for headings."""
    return CLASS_NAMES.get(name, name.replace("_", " "))


def percent(share: float, digits: int = 1) -> str:
    """A share of 1."""
    return f"{100 * share:.{digits}f} %"


def times(factor: float) -> str:
    """A factor."""
    return f"x {factor:.2f}"


def quantity(value: float | None, digits: int = 1) -> str:
    """A count with thousands marked, or a number with some digits; a dash for None."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.{digits}f}"


def data_size(amount: float) -> str:
    """Bytes, in thousands of them."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if amount >= factor:
            return f"{amount / factor:.3g} {unit}"
    return f"{amount:.0f} B"


def duration(microseconds: float) -> str:
    """A time, in milliseconds if it is long."""
    return f"{microseconds:.3g} µs" if microseconds < 1000 else f"{microseconds / 1000:.3g} ms"


def clip(text: str, width: int) -> str:
    """A long name without its middle: exporters put what tells names apart at either end."""
    head = width // 2
    return text if len(text) <= width else text[:head] + "…" + text[len(text) - (width - 1 - head) :]


def layers_of(tensor: Mapping[str, Any]) -> str:
    """From which layer to which a tensor lives, counted from 1; the host comes before and after them."""
    first = "host" if tensor["role"] == "input" else str(tensor["first_layer"] + 1)
    last = "host" if tensor["role"] == "output" else str(tensor["last_layer"] + 1)
    return f"{first} to {last}"


def _memories(arch: Mapping[str, Any]) -> dict[str, float]:
    """Bytes of an engine's three large memories."""
    line = max(arch["rows"], arch["cols"])
    return {
        "activations": arch["act_lines"] * line * arch["act_bits"] / 8,
        "weights": arch["weight_lines"] * arch["weight_rows"] * arch["cols"] * arch["weight_bits"] / 8,
        "accumulators": arch["acc_depth"] * arch["cols"] * arch["acc_bits"] / 8,
    }


def memory_bytes(arch: Mapping[str, Any]) -> float:
    """Bytes of activation memory, weight memory and accumulators together, from an architecture's JSON."""
    return sum(_memories(arch).values())


def engine_facts(arch: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What one wants to know of an engine before comparing it."""
    lanes, sizes = arch["cols"] // arch["lane_cycles"], _memories(arch)
    rows = "row" if arch["weight_rows"] == 1 else "rows"
    return [
        ("array", f"{arch['rows']} x {arch['cols']} (R x C)"),
        ("weight port", f"WL = {arch['weight_rows']} {rows} a cycle"),
        ("lanes", f"{lanes} (q = {arch['lane_cycles']})"),
        ("bits", f"{arch['act_bits']} a, {arch['weight_bits']} w, {arch['acc_bits']} sum"),
        ("activation memory", f"{arch['act_segments']} x {data_size(sizes['activations'] / arch['act_segments'])}"),
        ("weight memory", data_size(sizes["weights"])),
        ("accumulators", data_size(sizes["accumulators"])),
        ("hash", str(arch["hash"])),
    ]
