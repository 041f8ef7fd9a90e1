# SPDX-License-Identifier: Apache-2.0
"""Tables of what is in a graph and in a program."""

from __future__ import annotations

from rich.table import Table

from systolith.compiler.ir import Graph, Node
from systolith.compiler.model import predict
from systolith.spec.image import Program
from systolith.spec.isa import decode_program, disassemble
from systolith.spec.link import Counter, Space

__all__ = ["graph_table", "memory_map_table", "program_text", "tile_table"]


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _details(node: Node, graph: Graph) -> str:
    """Window geometry, bounds and fused operators."""
    window = {
        key: "x".join(map(str, value)) if isinstance(value, tuple) else value
        for key, value in node.attributes.items()
        if key in ("kernel", "kernel_shape", "strides", "pads", "dilations", "group", "lo", "hi")
    }
    fused = "+".join(node.origin)
    return ", ".join([*([fused] if fused else []), *(f"{key} {value}" for key, value in window.items())])


def _quantisation(graph: Graph, tensor: str) -> str:
    qparams = graph.tensors[tensor].qparams
    return f"{qparams.scale:.6g} / {qparams.zero_point}" if qparams is not None else "float"


def graph_table(graph: Graph) -> Table:
    """A row a node: operator, shape and quantisation of its output."""
    table = Table(title=graph.name, title_justify="left")
    for heading in ("node", "operator", "inputs", "output", "scale / zero point", "details"):
        table.add_column(heading, overflow="fold")
    for name in graph.inputs:
        table.add_row("", "input", "", _shape(graph.tensors[name].shape), _quantisation(graph, name), name)
    for node in graph.nodes:
        output = node.outputs[0]
        activations = [name for name in node.inputs if name in graph.tensors]
        table.add_row(
            node.name,
            node.op,
            ", ".join(activations),
            _shape(graph.tensors[output].shape),
            _quantisation(graph, output),
            _details(node, graph),
        )
    for step in graph.host_tail:
        table.add_row("", step, "", "", "", "on the host, after the run")
    return table


def tile_table(program: Program) -> Table:
    """A row a descriptor: its loops and its cycles by cause."""
    table = Table(title=f"tiles of {program.name} on {program.arch.name}", title_justify="left")
    headings = ["layer", "tile", "operation", "loops", "cycles", "active", "weights", "memory", "lanes", "drain"]
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("layer", "operation", "loops") else "right")
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
    table = Table(title="activation memory (elements)", title_justify="left")
    for heading in ("tensor", "first", "elements", "height", "width", "channels", "channel pitch", "row pitch"):
        table.add_column(heading, justify="left" if heading == "tensor" else "right")
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
