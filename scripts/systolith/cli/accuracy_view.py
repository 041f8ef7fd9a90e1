# SPDX-License-Identifier: Apache-2.0
"""The figures of ``systolith accuracy`` as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table

from systolith.api.views import quantisation_words

__all__ = ["accuracy_view"]

Figures = Mapping[str, Any]

_NAMES = {"float": "float", "integer": "integers"}


def accuracy_view(figures: Figures) -> RenderableType:
    """Everything that was found, for a console."""
    parts: list[RenderableType] = [_summary(figures)]
    if figures["quantisation"]:
        parts.append(_decisions(figures["quantisation"]))
    if figures["layers"]:
        parts += ["", _layer_table(figures), "", *_words(figures)]
    return Group(*parts)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _summary(figures: Figures) -> RenderableType:
    lines = [f"{figures['network']} with the widths of {figures['arch']}, {figures['samples']:,} samples"]
    lines += [f"{name:9}{_result(figures[key])}" for key, name in _NAMES.items() if figures[key]]
    if figures["comparison"]:
        lines.append(_comparison(figures["comparison"]))
    return "\n".join(lines)


def _result(result: Figures) -> str:
    if "top1" in result:
        low, high = result["interval95"]
        return f"{_percent(result['top1'])} as labelled (95 % interval {_percent(low)} .. {_percent(high)})"
    return f"mean squared difference of outputs and inputs {result['mean_squared_error']:.6g}"


def _comparison(compared: Figures) -> str:
    text = f"together {_percent(compared['agreement'])} classified alike, signal to noise {compared['snr']:.1f} dB"
    if "drop_points" not in compared:
        return text
    low, high = compared["drop_interval95"]
    changes = f"{compared['turned_wrong']} turned wrong, {compared['turned_right']} turned right"
    return f"{text}; {changes}: a drop of {compared['drop_points']:.1f} points (95 % interval {low:.1f} .. {high:.1f})"


def _decisions(decided: Figures) -> str:
    text = f"quantise {quantisation_words(decided)} ({decided['weight_bytes']:,} bytes)"
    if "search" not in decided:
        return text
    share = decided["weight_bytes"] / decided["search"]["bytes_before"]
    measure, drop = decided["search"]["measure"], decided["search"]["drop"]
    return f"{text}: {share:.0%} of the widest, for {drop:.2f} points of {measure} on the calibration inputs"


def _layer_table(figures: Figures) -> Table:
    table = Table(title=f"each layer, {figures['layer_samples']} samples, signal to noise in dB", title_justify="left")
    for heading in ("layer", "operator"):
        table.add_column(heading, overflow="ellipsis", no_wrap=True)
    for heading in ("bits", "of its result", "outputs: it alone", "its weights", "its result", "points lost"):
        table.add_column(heading, justify="right")
    for layer in figures["layers"]:
        weights = layer["weights_alone"]
        table.add_row(
            layer["name"],
            layer["op"],
            "-" if layer["weight_bits"] is None else str(layer["weight_bits"]),
            f"{layer['snr']:.1f}",
            f"{layer['alone']['snr']:.1f}",
            "-" if weights is None else f"{weights['snr']:.1f}",
            f"{layer['result_alone']['snr']:.1f}",
            f"{layer['alone']['lost_points']:.2f}",
            style="bold" if layer["name"] in figures["worst"] else None,
        )
    return table


def _words(figures: Figures) -> list[str]:
    worst = [f"worst    {', '.join(figures['worst'])}: quantised alone, they add most noise to the outputs"]
    if not figures["advice"]:
        return [*worst, "helps    nothing that was tried gains half a decibel"]
    return worst + [f"helps    {_advice(item)}" for item in figures["advice"]]


def _advice(item: Figures) -> str:
    return f"{item['change']}: {item['gain']:+.1f} dB at the outputs ({item['how']})"
