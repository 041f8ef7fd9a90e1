# SPDX-License-Identifier: Apache-2.0
"""Tables of what is in a graph and in a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from systolith.compiler.ir import Graph, Node
from systolith.compiler.model import predict
from systolith.spec.encoding import decode_program, disassemble
from systolith.spec.image import Program
from systolith.spec.link import Counter, Space

__all__ = [
    "graph_table",
    "host_words",
    "memory_map_table",
    "plain_table",
    "program_text",
    "quantisation_words",
    "tile_table",
]


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


_USUAL = {"strides": 1, "dilations": 1, "group": 1, "pads": 0}
"""Window attributes, left out where every value is this one."""


def _attribute(node: Node, key: str) -> list[str]:
    value = node.attributes.get(key)
    values = value if isinstance(value, tuple) else (value,)
    if value is None or all(item == _USUAL.get(key) for item in values):
        return []
    return [f"{key} {'x'.join(map(str, values))}"]


def _details(node: Node) -> str:
    """Window geometry where it is unusual, and the integers that the result is clipped to."""
    keys = ("kernel", "kernel_shape", "strides", "pads", "dilations", "group", "weight_bits")
    bounds = [f"{node.attributes['lo']}..{node.attributes['hi']}"] if "lo" in node.attributes else []
    window = [part for key in keys for part in _attribute(node, key)]
    return ", ".join(window + bounds)


def _quantisation(graph: Graph, tensor: str) -> str:
    qparams = graph.tensors[tensor].qparams
    return f"{qparams.scale:.6g} / {qparams.zero_point}" if qparams is not None else "float"


def plain_table(title: str = "", caption: str = "") -> Table:
    """A table without frames, which leaves the width of a small terminal to its contents."""
    return Table(
        title=title or None,
        caption=caption or None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def graph_table(graph: Graph) -> Table:
    """A row a node: the operators it does, shape and quantisation of its output."""
    table = plain_table(graph.name)
    for heading in ("node", "operator", "inputs", "output", "scale / zero", "details"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("output", "scale / zero"))
    for name in graph.inputs:
        table.add_row("", "input", "", _shape(graph.tensors[name].shape), _quantisation(graph, name), name)
    for node in graph.nodes:
        output = node.outputs[0]
        activations = [name for name in node.inputs if name in graph.tensors]
        table.add_row(
            node.name,
            "+".join(node.origin) or node.op,
            ", ".join(activations),
            _shape(graph.tensors[output].shape),
            _quantisation(graph, output),
            _details(node),
        )
    for name, steps in graph.host_tail.items():
        for step in steps:
            table.add_row("", step, name, "", "", "on the host, after the run")
    return table


def host_words(tail: Mapping[str, Sequence[str]]) -> str:
    """What the host does after the run; outputs are named where there are several."""
    named = {name: ", ".join(steps) for name, steps in tail.items()}
    return "; ".join(named.values() if len(named) == 1 else (f"{name}: {steps}" for name, steps in named.items()))


def quantisation_words(decided: Mapping[str, Any]) -> str:
    """What quantisation decided: the method, and the bits of the weights."""
    widths = ", ".join(map(str, sorted(set(decided["weight_bits"].values()))))
    return f"ranges by {decided['method']}{', equalised' if decided['equalised'] else ''}, weights of {widths} bits"


def tile_table(program: Program) -> Table:
    """A row a descriptor: its loops and its cycles by cause."""
    table = plain_table(f"tiles of {program.name} on {program.arch.name}")
    headings = ["layer", "tile", "does", "loops", "cycles", "active", "weights", "memory", "lanes", "drain"]
    for heading in headings:
        text = heading in ("layer", "loops")
        right = heading not in ("layer", "does", "loops")
        table.add_column(heading, justify="right" if right else "left", no_wrap=not text, overflow="fold")
    descriptors = decode_program(program.segments[Space.PROGRAM], program.arch)
    predicted = predict(program).descriptors
    shown = (Counter.CYCLES, Counter.ACTIVE, Counter.WEIGHTS, Counter.MEMORY, Counter.LANES, Counter.DRAIN)
    for layer in program.layers:
        for tile in range(layer.count):
            descriptor, cycles = descriptors[layer.first + tile], predicted[layer.first + tile]
            loops = "x".join(str(loop.count) for loop in descriptor.loops)
            numbers = [f"{cycles[counter]:,}" for counter in shown]
            table.add_row(layer.name, str(tile), descriptor.op.name, loops, *numbers)
    return table


def memory_map_table(program: Program) -> Table:
    """A row a tensor in the activation memory."""
    table = plain_table("activation memory (elements)")
    for heading in ("tensor", "first", "elements", "height", "width", "channels", "pixel", "row"):
        table.add_column(heading, justify="left" if heading == "tensor" else "right", no_wrap=heading != "tensor")
    tensors = [*program.inputs, *(layer.output for layer in program.layers)]
    for tensor in tensors:
        numbers = (tensor.base, tensor.elements, tensor.height, tensor.width, tensor.channels)
        pitches = (tensor.channel_pitch, tensor.row_pitch)
        table.add_row(tensor.name, *(f"{number:,}" for number in (*numbers, *pitches)))
    return table


def program_text(program: Program) -> str:
    """The disassembled program, a paragraph a descriptor."""
    descriptors = decode_program(program.segments[Space.PROGRAM], program.arch)
    names = {
        layer.first + tile: f"; {layer.name}, tile {tile}" for layer in program.layers for tile in range(layer.count)
    }
    parts = [f"{names.get(index, '')}\n{disassemble(descriptor)}" for index, descriptor in enumerate(descriptors)]
    return "\n\n".join([*parts, "END"])
