# SPDX-License-Identifier: Apache-2.0
"""The figures for a terminal of 80 columns: the page's tables, and its charts as bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from ..attribution import class_title
from ..views import plain_table
from .words import (
    NO_TENSORS,
    class_name,
    clip,
    data_size,
    duration,
    engine_facts,
    layers_of,
    percent,
    quantity,
    times,
)

__all__ = ["roofline_view"]

Figures = Mapping[str, Any]

_NAME = 13
"""Columns of a name."""
_BAR = 26
"""Columns of a bar."""
_HEADINGS = {"idle": "padding", "weight_load": "weights", "memory_stall": "memory", "non_matrix": "other"}
"""Classes in a column's width; the others have their own names."""


def _table(left: Iterable[str], right: Iterable[str] = ()) -> Table:
    table = plain_table()
    for heading in left:
        table.add_column(heading, no_wrap=True)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _bar(begin: float, length: float, width: int = _BAR) -> str:
    """A bar at its place in ``width`` columns, both as shares of 1; what is there at all gets a mark."""
    first, last = round(width * begin), round(width * (begin + length))
    if length > 0 and last == first:
        return " " * min(first, width - 1) + "▏"
    return " " * first + "█" * (last - first)


def _head(figures: Figures) -> list[str]:
    clock = figures["at_clock"]
    kind = "reference" if clock["reference"] else "as given"
    facts = [f"{name} {value}" for name, value in engine_facts(figures["arch"])]
    return [
        f"{figures['network']} on {figures['arch']['name']}",
        f"{figures['cycles']:,} cycles, {figures['macs']:,} MACs, {quantity(figures['macs_per_cycle'])} of "
        f"{figures['roofs']['macs_per_cycle']} MACs a cycle ({percent(figures['utilisation'])} useful)",
        f"at {quantity(clock['mhz'])} MHz ({kind}): {duration(clock['latency_us'])}, "
        f"{quantity(clock['inferences_per_second'])} inferences/s, {quantity(clock['gmacs_per_second'], 2)} GMAC/s",
        *("; ".join(facts[index : index + 3]) for index in range(0, len(facts), 3)),
    ]


def _measured(figures: Figures) -> list[RenderableType]:
    measured = figures["measured"]
    if measured is None:
        return []
    table = _table(["counter"], ["cycle model", "RTL", ""])
    for name, value in measured["counters"].items():
        expected = figures["counters"][name]
        table.add_row(name, f"{expected:,}", f"{value:,}", "equal" if value == expected else "differs")
    return ["", f"one inference in {measured['simulator']} ({measured['input']})", table]


def _attribution(figures: Figures) -> Table:
    table = _table(["class"], ["share", "at most, without"])
    table.add_column("from all slots to the useful ones", no_wrap=True)
    left = 1.0
    for name, share in sorted(figures["attribution"].items(), key=lambda item: item[0] == "useful"):
        left = 0.0 if name == "useful" else left - share
        saving = figures["speed_up_without"].get(name)
        table.add_row(class_name(name), percent(share, 2), "-" if saving is None else times(saving), _bar(left, share))
    table.add_section()
    table.add_row("sum", percent(sum(figures["attribution"].values()), 2), "", "")
    return table


def _layers(figures: Figures) -> Table:
    table = _table(["#", "layer", "output"], ["MACs", "cycles", "time", "use"])
    table.add_column("bound by", no_wrap=True)
    for layer in figures["layers"]:
        table.add_row(
            str(layer["number"]),
            clip(layer["name"], _NAME),
            "x".join(map(str, layer["output"])),
            f"{layer['macs']:,}" if layer["macs"] else "-",
            f"{layer['cycles']:,}",
            f"{layer['share']:.0%}",
            f"{layer['utilisation']:.0%}" if layer["macs"] else "-",
            layer["bound"],
        )
    return table


def _causes(figures: Figures) -> Table:
    classes = list(figures["attribution"])
    table = _table(["#", "layer"], [_HEADINGS.get(name, name) for name in classes])
    for layer in figures["layers"]:
        cells = [quantity(round(layer["cycles_by_cause"][name], 1)) for name in classes]
        table.add_row(str(layer["number"]), clip(layer["name"], _NAME), *cells)
    return table


def _time_line(figures: Figures) -> Table:
    cycles = figures["cycles"]
    table = _table(["#", "layer"], ["begins", "cycles"])
    table.add_column("", no_wrap=True)
    for layer in figures["layers"]:
        bar = _bar(layer["begins"] / cycles, layer["cycles"] / cycles, 2 * _BAR - 14)
        numbers = f"{layer['begins']:,}", f"{layer['cycles']:,}"
        table.add_row(str(layer["number"]), clip(layer["name"], _NAME), *numbers, bar)
    return table


def _roofs(figures: Figures) -> Table:
    headings = ["weights", "MAC/cyc", "MAC/B w", "roof", "of it", "MAC/B a", "roof", "of it"]
    table = _table(["#", "layer"], headings)
    for layer in figures["layers"]:
        if layer["macs"]:
            cells = [data_size(layer["weight_bytes"]), quantity(layer["macs_per_cycle"])]
            for port in ("weights", "activations"):
                at = layer["intensity"][port]
                reached = f"{layer['macs_per_cycle'] / at['roof_macs_per_cycle']:.0%}"
                cells += [quantity(at["macs_per_byte"]), quantity(at["roof_macs_per_cycle"]), reached]
            table.add_row(str(layer["number"]), clip(layer["name"], _NAME - 4), *cells)
    return table


def _roofs_title(figures: Figures) -> str:
    roofs = figures["roofs"]
    return (
        f"roofline: in a cycle {roofs['macs_per_cycle']} MACs, {quantity(roofs['weight_bytes_per_cycle'])} B of "
        f"weights (w), {quantity(roofs['activation_bytes_per_cycle'])} B of windows (a)"
    )


def _occupancy(figures: Figures) -> RenderableType:
    if figures["occupancy"] is None:
        return f"not shown: {NO_TENSORS}"
    table = _table(["tensor"], ["address", "elements", "layers"])
    table.add_column("over the run", no_wrap=True)
    for tensor in figures["occupancy"]:
        share = (tensor["ends"] - tensor["begins"]) / figures["cycles"]
        bar = _bar(tensor["begins"] / figures["cycles"], share, _BAR - 6)
        numbers = f"{tensor['base']:,}", f"{tensor['elements']:,}", layers_of(tensor)
        table.add_row(clip(tensor["name"], _NAME + 6), *numbers, bar)
    return table


def _memories(figures: Figures) -> Table:
    table = _table(["memory"], ["used", "of", "fill"])
    table.add_column("", no_wrap=True)
    for name, use in figures["memory"].items():
        used = use.get("lines", use.get("elements"))
        unit = "lines" if "lines" in use else "elements"
        share = used / use["of"]
        table.add_row(name, f"{used:,}", f"{use['of']:,} {unit}", percent(share), _bar(0, share))
    return table


def _traffic(figures: Figures) -> Table:
    table = _table(["memory", "what"], ["accesses", "bytes", "per MAC"])
    for part in figures["traffic"].values():
        numbers = f"{part['accesses']:,}", quantity(part["bytes"]), quantity(part["bytes_per_mac"], 4)
        table.add_row(part["memory"], part["what"], *numbers)
    table.add_section()
    macs = figures["macs"]
    table.add_row(
        "sum", "", "", quantity(figures["bytes_moved"]), quantity(figures["bytes_moved"] / macs if macs else None, 4)
    )
    return table


def _comparison(figures: Figures) -> list[RenderableType]:
    if figures["comparison"] is None:
        return []
    table = _table(["engine"], ["multipliers", "cycles", "speed", "useful", "MAC/cyc", "B/MAC"])
    table.add_column("bound by", no_wrap=True)
    refused = []
    for row in figures["comparison"]:
        if row["refused"] is not None:
            refused.append(f"{row['arch']}: {row['refused']}")
            continue
        numbers = f"{row['multipliers']:,}", f"{row['cycles']:,}", times(row["speed"]), percent(row["utilisation"])
        moved = quantity(row["bytes_per_mac"], 3)
        table.add_row(clip(row["arch"], _NAME), *numbers, quantity(row["macs_per_cycle"]), moved, row["bound"])
    return ["", "the same network on other engines, the build's own first", table, *refused]


def _legend(figures: Figures) -> list[str]:
    return [f"  {class_name(name):14}{class_title(name)}" for name in figures["attribution"]]


def _occupancy_title(figures: Figures) -> str:
    use = figures["memory"]["activations"]
    return f"activation memory over time: peak {use['elements']:,} elements, lower bound {use['lower_bound']:,}"


def _sections(figures: Figures) -> list[tuple[str, RenderableType]]:
    return [
        ("MAC slots (R x C x cycles)", _attribution(figures)),
        ("layers", _layers(figures)),
        ("cycles by cause", _causes(figures)),
        (_roofs_title(figures), _roofs(figures)),
        ("time line", _time_line(figures)),
        (_occupancy_title(figures), _occupancy(figures)),
        ("memories", _memories(figures)),
        ("bytes moved, a proxy for energy", _traffic(figures)),
    ]


def roofline_view(figures: Figures) -> RenderableType:
    """Everything that the page shows, for a console."""
    sections = [part for title, table in _sections(figures) for part in ("", title, table)]
    parts = (*_head(figures), *_measured(figures), *sections, *_comparison(figures))
    return Group(*parts, "", "classes", *_legend(figures))
