# SPDX-License-Identifier: Apache-2.0
"""Chooses the layouts on the cycle model: the cheapest of the legal ones, in one sweep over the convolutions.

A convolution is tried with every layout of its output (several pixels in a vector) and, where it alone reads a network
input, of its input (by columns, in blocks), and judged by the cycles of all convolutions that see these tensors; the
plainest of the best stays. Decisions couple neighbours only, through the tensor between them, and few tensors have a
choice at all, so one greedy sweep in topological order does. A residual operand is read as the sum is stored: tensors
that meet in an add have one layout together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from systolith.spec.arch import Arch
from systolith.spec.link import Counter

from .ir import Graph, Node
from .layout import Layout, plan_layouts, residual_of
from .matrix import matrix_descriptors
from .model import predict_descriptors
from .packing import unrolled
from .plan import Context
from .variants import input_variants, output_variants

__all__ = ["choose_layouts"]

_Layouts = Mapping[str, Layout]


def _dense_conv(node: Node | None) -> bool:
    return node is not None and node.op == "QConv" and node.attributes["group"] == 1


class _Search:
    """The graph, and the cycles of what was tried so far."""

    def __init__(self, graph: Graph, arch: Arch) -> None:
        self.graph, self.arch = graph, arch
        self._bases = dict.fromkeys(graph.tensors, 0)
        self._known: dict[tuple[str, tuple[Layout, ...]], int] = {}
        self._tied = _ties(graph)

    def cycles(self, node: Node, layouts: _Layouts) -> int:
        """Cycles of a convolution by itself."""
        key = node.outputs[0], tuple(layouts[name] for name in (*node.inputs, node.outputs[0]))
        if key not in self._known:
            ctx = Context(self.graph, self.arch, layouts, self._bases)
            parts = predict_descriptors(matrix_descriptors(node, ctx), self.arch)
            self._known[key] = sum(part[Counter.CYCLES] for part in parts)
        return self._known[key]

    def cost(self, changed: _Layouts, layouts: _Layouts) -> int:
        """Cycles of all convolutions that see a changed tensor."""
        seeing = [node for node in self.graph.nodes if _dense_conv(node) and _sees(node, changed)]
        return sum(self.cycles(node, {**layouts, **changed}) for node in seeing)

    def _owned_input(self, node: Node) -> bool:
        """Whether the node alone reads its input, which the host writes."""
        name = node.inputs[0]
        alone = len(self.graph.consumers(name)) == 1 and residual_of(node) != name
        return alone and name in self.graph.inputs and name not in self.graph.outputs

    def _outputs(self, node: Node, layouts: _Layouts) -> Iterator[_Layouts]:
        """Changes of the layouts of the node's output and what is tied to it, none of them first."""
        yield {}
        tied = self._tied[node.outputs[0]]
        if all(_free(self.graph, name) for name in tied):
            for layout in output_variants(layouts[node.outputs[0]], self.arch):
                yield dict.fromkeys(tied, layout)

    def options(self, node: Node, layouts: _Layouts) -> Iterator[_Layouts]:
        """Changes of layouts around a convolution, the plainest first."""
        name, output = node.inputs[0], node.outputs[0]
        for change in self._outputs(node, layouts):
            yield change
            if self._owned_input(node):
                unroll = unrolled(change.get(output, layouts[output]), self.arch)
                for layout in input_variants(layouts[name], node, unroll, self.arch):
                    yield {**change, name: layout}


def _sees(node: Node, tensors: _Layouts) -> bool:
    return any(name in tensors for name in (*node.inputs, *node.outputs))


def _ties(graph: Graph) -> dict[str, frozenset[str]]:
    """The tensors that must have one layout, for each tensor: outputs and their residual operands, through all adds."""
    tied = {name: frozenset((name,)) for name in graph.tensors}
    for node in graph.nodes:
        residual = residual_of(node)
        if residual is not None:
            together = tied[residual] | tied[node.outputs[0]]
            tied.update(dict.fromkeys(together, together))
    return tied


def _free(graph: Graph, name: str) -> bool:
    """Whether a convolution stores the tensor and no view shares it."""
    return _dense_conv(graph.producer(name)) and all(node.op != "View" for node in graph.consumers(name))


def choose_layouts(graph: Graph, arch: Arch) -> dict[str, Layout]:
    """A layout for every activation tensor, such that the convolutions take few cycles.

    Raises:
        UnsupportedModel: a view would have to move elements.
        QuantisationError: a number does not fit the architecture's widths.
    """
    layouts = dict(plan_layouts(graph, arch))
    search = _Search(graph, arch)
    for node in filter(_dense_conv, graph.nodes):
        # a change must be judged beside the plain layouts, so all are judged by what any of them changes
        options = list(search.options(node, layouts))
        plain = {name: layouts[name] for option in options for name in option}
        best = min(options, key=lambda option: search.cost({**plain, **option}, layouts))
        layouts.update(best)
    return layouts
