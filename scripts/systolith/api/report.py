# SPDX-License-Identifier: Apache-2.0
"""The report of a compiled network: figures first, text from the figures."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table

from systolith.compiler.ir import Graph
from systolith.compiler.model import predict
from systolith.spec.arch import Arch
from systolith.spec.image import LayerInfo, Program
from systolith.spec.link import Counter

from .attribution import attribution, named
from .views import host_words, quantisation_words

__all__ = ["attribution", "build_report", "counters_table", "layer_table", "named", "render_report", "report_view"]

Figures = dict[str, Any]

WIDTH = 110
"""Columns of a report written to a file."""
_NAME = 24
"""Columns of a layer's name, so that the table fits 80."""


def _layer(layer: LayerInfo, counters: Mapping[Counter, int], arch: Arch) -> Figures:
    cycles = counters[Counter.CYCLES]
    slots = arch.rows * arch.cols * max(1, cycles)
    return {
        "name": layer.name,
        "kind": layer.kind,
        "output": list(layer.output.shape),
        "macs": layer.macs,
        "weight_bytes": layer.weight_bytes,
        "weight_bits": layer.weight_bits,
        "tiles": layer.count,
        "cycles": cycles,
        "utilisation": layer.macs / slots,
    }


def build_report(program: Program, network: Graph) -> Figures:
    """All figures that compilation knows; cycles are the cycle model's, which are the engine's."""
    arch, predicted = program.arch, predict(program)
    layers = [_layer(layer, predicted.layer(layer.first, layer.count), arch) for layer in program.layers]
    return {
        "network": program.name,
        "arch": arch.to_json() | {"hash": f"{arch.hash:08x}"},
        "layers": layers,
        "macs": sum(layer["macs"] for layer in layers),
        "weight_bytes": sum(layer["weight_bytes"] for layer in layers),
        "cycles": predicted.total[Counter.CYCLES],
        "counters": named(predicted.total),
        "attribution": attribution(predicted.total, arch),
        "memory": dict(program.notes["memory"]),
        "inputs": [_tensor(network, name) for name in network.inputs],
        "outputs": [_tensor(network, name) for name in network.outputs],
        "host_tail": {name: list(steps) for name, steps in program.host_tail.items()},
    }


def _tensor(network: Graph, name: str) -> Figures:
    tensor = network.tensors[name]
    figures: Figures = {"name": name, "shape": list(tensor.shape), "integers": name in network.integer_io}
    if tensor.qparams is not None:
        figures |= {"scale": tensor.qparams.scale, "zero_point": tensor.qparams.zero_point}
    return figures


def _short(name: str) -> str:
    """The end of a long name, which is where exporters put what tells layers apart."""
    return name if len(name) <= _NAME else "…" + name[1 - _NAME :]


def layer_table(figures: Figures) -> Table:
    """A row a layer."""
    table = Table(
        title=f"{figures['network']} on {figures['arch']['name']}", title_justify="left", caption_justify="left"
    )
    for heading in ("layer", "kind", "output", "MACs", "weights B", "tiles", "cycles", "use"):
        table.add_column(heading, justify="left" if heading in ("layer", "kind", "output") else "right", no_wrap=True)
    for layer in figures["layers"]:
        table.add_row(
            _short(layer["name"]),
            layer["kind"],
            "x".join(map(str, layer["output"][1:])),
            f"{layer['macs']:,}",
            f"{layer['weight_bytes']:,}",
            str(layer["tiles"]),
            f"{layer['cycles']:,}",
            f"{layer['utilisation']:.0%}" if layer["macs"] else "-",
        )
    table.add_section()
    use = f"{figures['attribution']['useful']:.0%}"
    table.add_row(
        "total", "", "", f"{figures['macs']:,}", f"{figures['weight_bytes']:,}", "", f"{figures['cycles']:,}", use
    )
    return table


def counters_table(shares: Mapping[str, float], title: str) -> Table:
    """Where the MAC slots went, as bars."""
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    for name, share in shares.items():
        table.add_row(name.replace("_", " "), f"{share:6.1%}", "█" * round(40 * share))
    return table


def _memory_table(figures: Figures) -> Table:
    table = Table(title="memories", title_justify="left", box=None)
    for heading in ("memory", "used", "of", ""):
        table.add_column(heading, justify="left" if heading == "memory" else "right")
    for name, use in figures["memory"].items():
        used = use.get("lines", use.get("elements"))
        unit = "lines" if "lines" in use else "elements at the peak"
        table.add_row(name, f"{used:,}", f"{use['of']:,} {unit}", f"{used / use['of']:.0%}")
    return table


def _border(tensor: Figures) -> str:
    kind = "integers" if tensor["integers"] else "floats"
    scale = f", scale {tensor['scale']:.6g}, zero point {tensor['zero_point']}" if "scale" in tensor else ""
    return f"{tensor['name']} {'x'.join(map(str, tensor['shape']))} ({kind}{scale})"


def _quantisation(decided: Mapping[str, Any]) -> list[str]:
    """What quantisation decided, in a line; none for a network that came quantised."""
    if not decided:
        return []
    return [f"quantise {quantisation_words(decided)}, {decided['snr']:.1f} dB at the outputs"]


def report_view(figures: Figures) -> RenderableType:
    """The whole report, for a console."""
    tail = host_words(figures["host_tail"]) or "nothing"
    lines = [f"input   {_border(tensor)}" for tensor in figures["inputs"]]
    lines += [f"output  {_border(tensor)}" for tensor in figures["outputs"]]
    lines += _quantisation(figures.get("quantisation") or {})
    lines.append(f"host    quantises inputs, dequantises outputs; after the run: {tail}")
    shares = counters_table(figures["attribution"], "MAC slots (R x C x cycles)")
    return Group(layer_table(figures), "", *lines, "", shares, "", _memory_table(figures))


def render_report(figures: Figures) -> str:
    """The report as text."""
    console = Console(file=StringIO(), width=WIDTH, record=True, highlight=False, markup=False)
    console.print(report_view(figures))
    return console.export_text()
