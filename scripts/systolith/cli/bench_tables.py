# SPDX-License-Identifier: Apache-2.0
"""Tables of ``systolith bench nets`` and ``bench conformance``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from systolith.api.views import plain_table

__all__ = ["conformance_table", "nets_tables", "refusals"]

Record = Mapping[str, Any]

_CAUSES = {
    "useful": "useful",
    "idle": "padding",
    "weight_load": "weights",
    "memory_stall": "memory",
    "drain": "drain",
    "non_matrix": "other",
}
"""Headings of the shares."""


def _columns(table: Table, *headings: str) -> Table:
    for heading in headings:
        text = heading in ("network", "layer", "array", "operator")
        table.add_column(heading, justify="left" if text else "right", no_wrap=heading != "network", overflow="fold")
    return table


def _target(record: Record) -> tuple[str, str]:
    """What is aimed at, and whether it is met or by how much it is missed."""
    cycles, share = record["target_cycles"], record["target_utilisation"]
    if cycles is not None:
        over = record["cycles"] / cycles - 1
        return f"{cycles:,}", "met" if over <= 0 else f"{over:+.1%}"
    if share is not None:
        over = record["utilisation"] - share
        return f"{share:.0%}", "met" if over >= 0 else f"{over:+.1%}"
    return "", ""


def _cycles(figures: Mapping[str, Any]) -> Table:
    records: Sequence[Record] = figures["records"]
    remarks = [f"{one['net']} on {one['arch']}: memories enlarged, {one['remark']}" for one in records if one["remark"]]
    trained = ", ".join(dict.fromkeys(one["net"] for one in records if one["weights"] == "trained"))
    remarks += [f"trained weights: {trained}"] if trained else []
    table = plain_table(f"cycles an inference ({figures['measured_in']})", "\n".join(remarks))
    _columns(table, "network", "array", "cycles", "target", "off", "use", "model", "exact")
    for one in records:
        exact = {None: "-", True: "yes", False: "NO"}[one["exact"]]
        numbers = (f"{one['utilisation']:.1%}", f"{one['model_cycles']:,}")
        table.add_row(one["net"], one["arch"], f"{one['cycles']:,}", *_target(one), *numbers, exact)
    return table


def _shares(records: Sequence[Record]) -> Table:
    table = plain_table("where the MAC slots went, in percent", "drain: and lanes; other: vector unit, descriptors")
    _columns(table, "network", "array", "MACs", *_CAUSES.values())
    for one in records:
        shares = [f"{100 * one['attribution'][name]:.1f}" for name in _CAUSES]
        table.add_row(one["net"], one["arch"], f"{one['macs']:,}", *shares)
    return table


def _dense(rows: Sequence[Record]) -> Table:
    """Layers of the same size in one row."""
    table = plain_table(
        "dense layers beside scalesim, weight-stationary", "equal layers in one row, their cycles summed"
    )
    _columns(table, "network", "array", "layers", "M", "N", "K", "cycles", "scalesim", "ratio")
    for arch in dict.fromkeys(row["arch"] for row in rows):
        listed = [row for row in rows if row["arch"] == arch]
        kinds = dict.fromkeys((row["net"], row["m"], row["n"], row["k"]) for row in listed)
        for net, *sizes in kinds:
            same = [row for row in listed if (row["net"], row["m"], row["n"], row["k"]) == (net, *sizes)]
            table.add_row(net, arch, str(len(same)), *map(str, sizes), *_totals(same))
        table.add_row("total", arch, str(len(listed)), "", "", "", *_totals(listed))
        table.add_section()
    return table


def _totals(rows: Sequence[Record]) -> tuple[str, str, str]:
    ours, theirs = sum(row["cycles"] for row in rows), sum(row["scalesim_cycles"] for row in rows)
    return f"{ours:,}", f"{theirs:,}", f"{theirs / ours:.2f}"


def nets_tables(figures: Mapping[str, Any]) -> Iterator[Table]:
    """Cycles and targets, shares, and the dense layers where there is something to set beside them."""
    yield _cycles(figures)
    yield _shares(figures["records"])
    if figures["dense"]:
        yield _dense(figures["dense"])


def conformance_table(figures: Mapping[str, Any]) -> Table:
    """Cases by operator and verdict."""
    table = plain_table(f"backend test cases of onnx {figures['onnx']}", "a case of several operators is in each row")
    verdicts = ("passed", "refused", "failed", "outside")
    _columns(table, "operator", *verdicts)
    for name, counts in figures["operators"].items():
        table.add_row(name, *(str(counts[verdict] or "") for verdict in verdicts))
    table.add_section()
    table.add_row("all cases", *(str(figures[verdict]) for verdict in verdicts))
    return table


def refusals(figures: Mapping[str, Any]) -> dict[str, list[str]]:
    """Refused cases by reason; the reason is the message without the node's name."""
    found: dict[str, list[str]] = {}
    for outcome in figures["outcomes"]:
        if outcome["verdict"] == "refused":
            found.setdefault(outcome["reason"].partition("): ")[2] or outcome["reason"], []).append(outcome["case"])
    return found
