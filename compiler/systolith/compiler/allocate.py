# SPDX-License-Identifier: Apache-2.0
"""Places tensors in the activation memory by lifetime.

Views share their source's memory; a result whose every pixel comes from the same pixel of an operand, read before the
result is stored, takes the operand's place where that is the operand's last use. What is left are buffers with a size
and a lifetime, packed greedily in several orders of which the best is kept (largest first is the classic heuristic for
this dynamic storage allocation problem). With two memory segments, tensors that a layer accesses in the same cycle are
kept in different segments where that costs no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from systolith.spec.arch import PRESETS, Arch

from .errors import CapacityError
from .ir import Graph, Node
from .layout import Layout, residual_of, round_up

__all__ = ["Placement", "allocate", "live_elements"]


@dataclass(frozen=True)
class Placement:
    """Where everything lies, in elements."""

    bases: Mapping[str, int]
    """Address by tensor."""
    top: int
    """One past the highest address in use, tensors spread over the segments."""
    peak: int
    """Memory the tensors need when packed as tightly as this allocator can."""
    bound: int
    """Memory that any allocator needs: the largest sum of tensors alive at the same time."""
    lifetimes: Mapping[str, tuple[int, int]]
    """First and last node, both included, that each stored tensor is alive at: -1 for an input, one past the last node
    for what the host reads. A view is not listed; its uses are its source's."""


@dataclass(frozen=True)
class _Buffer:
    """Memory for one or more tensors, live from node ``first`` to node ``last``, both included."""

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: _Buffer) -> bool:
        return self.first <= other.last and other.first <= self.last


_Clashes = Mapping[frozenset[str], int]
"""Pairs of buffers accessed in the same cycles, and how many cycles that may cost."""


class _Roots:
    """Which tensor's buffer each tensor lives in, and each buffer's lifetime."""

    def __init__(self, graph: Graph) -> None:
        self.root = {name: name for name in graph.inputs}
        self.first = dict.fromkeys(graph.inputs, -1)
        self.last = dict.fromkeys(graph.inputs, -1)
        for index, node in enumerate(graph.nodes):
            for name in node.outputs:
                self.root[name], self.first[name], self.last[name] = name, index, index
        for index, node in enumerate(graph.nodes):
            for name in node.inputs:
                self.last[name] = max(self.last[name], index)
        for name in graph.outputs:
            self.last[name] = len(graph.nodes)

    def join(self, name: str, target: str) -> None:
        """Let ``name`` live in the buffer of ``target``."""
        target, old = self.root[target], self.root[name]
        self.root = {key: target if value == old else value for key, value in self.root.items()}
        self.first[target] = min(self.first[target], self.first[old])
        self.last[target] = max(self.last[target], self.last[old])

    def lifetimes(self) -> dict[str, tuple[int, int]]:
        """First and last node by buffer."""
        return {name: (self.first[name], self.last[name]) for name in dict.fromkeys(self.root.values())}

    def dies_at(self, name: str, index: int) -> bool:
        return self.last[self.root[name]] == index


def _pointwise(node: Node, graph: Graph, arch: Arch) -> bool:
    """Whether a convolution reads each pixel once, in the order in which it stores them: one block of one pass."""
    if node.op != "QConv":
        return False
    outputs, inputs, *kernel = graph.constant(node.attributes["weight"]).shape
    own = node.attributes
    still = [*kernel, *own["strides"]] == [1] * 4 and not any(own["pads"])
    return still and own["group"] == 1 and inputs <= arch.rows and outputs <= arch.cols


def _overwritable(node: Node, graph: Graph, arch: Arch) -> tuple[str, ...]:
    """Operands that a node reads pixel by pixel, each before the result is stored there."""
    if node.op in ("QAdd", "QMul", "QRequant", "QTable"):
        return node.inputs
    residual = residual_of(node)
    if residual is not None:
        return (residual,)
    return node.inputs if _pointwise(node, graph, arch) else ()


def _same_places(one: Layout, other: Layout) -> bool:
    """Whether each pixel of two tensors would lie at the same place."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("height", "width", "channel_pitch", "row_pitch", "block")
    )


def _join_views(graph: Graph, layouts: Mapping[str, Layout]) -> _Roots:
    """Views joined to their sources' buffers and tensors to their homes': a buffer for each that has its own memory."""
    roots = _Roots(graph)
    for name in roots.root:
        if layouts[name].home:
            roots.join(name, layouts[name].home)
    for node in graph.nodes:
        if node.op == "View":
            roots.join(node.outputs[0], node.inputs[0])
    return roots


def _join_in_place(graph: Graph, layouts: Mapping[str, Layout], roots: _Roots, arch: Arch) -> None:
    """In-place results joined to their operands' buffers."""
    for index, node in enumerate(graph.nodes):
        for operand in _overwritable(node, graph, arch):
            alone = [roots.root[name] for name in node.inputs].count(roots.root[operand]) == 1
            same = _same_places(layouts[operand], layouts[node.outputs[0]])
            own = not layouts[operand].home and not layouts[node.outputs[0]].home
            if alone and same and own and roots.dies_at(operand, index):
                roots.join(node.outputs[0], operand)
                break


def _buffers(roots: _Roots, layouts: Mapping[str, Layout], arch: Arch) -> list[_Buffer]:
    sizes: dict[str, int] = {}
    for name, root in roots.root.items():
        if layouts[name].home:
            continue
        sizes[root] = max(sizes.get(root, 0), round_up(layouts[name].elements, arch.line))
    return [_Buffer(name, size, roots.first[name], roots.last[name]) for name, size in sizes.items()]


def _clashes(graph: Graph, roots: _Roots, layouts: Mapping[str, Layout], arch: Arch) -> _Clashes:
    clashes: dict[frozenset[str], int] = {}
    for node in graph.nodes:
        if node.op == "View":
            continue
        residual = residual_of(node)
        # a QMove adds to what its result holds already
        stored = arch.act_single_port or node.op == "QMove"
        rivals = [name for name in (residual, node.outputs[0] if stored else None) if name is not None]
        cycles = layouts[node.outputs[0]].elements // arch.lanes
        for name, rival in product(node.inputs if node.op == "QMove" else node.inputs[:1], rivals):
            pair = frozenset((roots.root[name], roots.root[rival]))
            clashes[pair] = clashes.get(pair, 0) + cycles
    return {pair: cycles for pair, cycles in clashes.items() if len(pair) == 2}


class _Packing:
    """Buffers placed so far."""

    def __init__(self, arch: Arch, preferred: _Clashes) -> None:
        self._border = 1 << (arch.act_addr_bits - 1) if arch.act_segments > 1 else None
        self._preferred = preferred
        self._placed: dict[str, tuple[_Buffer, int]] = {}

    def _segments(self, base: int, size: int) -> set[bool]:
        return set() if self._border is None else {base >= self._border, base + size > self._border}

    def _cost(self, buffer: _Buffer, base: int, clashes: _Clashes) -> int:
        """Cycles that may be lost to the partners placed already."""
        mine = self._segments(base, buffer.size)
        cost = 0
        for pair, cycles in clashes.items():
            if buffer.name in pair:
                (partner,) = pair - {buffer.name}
                if partner in self._placed:
                    other, where = self._placed[partner]
                    cost += cycles * len(mine & self._segments(where, other.size))
        return cost

    def _candidates(self, buffer: _Buffer) -> Iterator[int]:
        rivals = sorted((base, base + other.size) for other, base in self._placed.values() if other.meets(buffer))
        starts = {0, *(end for _, end in rivals)} | (set() if self._border is None else {self._border})
        for start in starts:
            if all(end <= start or start + buffer.size <= base for base, end in rivals):
                yield start

    def place(self, buffer: _Buffer) -> None:
        """Put one more buffer where it costs least, then lowest."""
        base = min(self._candidates(buffer), key=lambda start: (self._cost(buffer, start, self._preferred), start))
        self._placed[buffer.name] = (buffer, base)

    @property
    def bases(self) -> dict[str, int]:
        return {name: base for name, (_, base) in self._placed.items()}

    @property
    def top(self) -> int:
        return max((base + buffer.size for buffer, base in self._placed.values()), default=0)

    def lost(self, clashes: _Clashes) -> int:
        """Cycles that all pairs together may lose, each counted from both sides."""
        return sum(self._cost(buffer, base, clashes) for buffer, base in self._placed.values())


_ORDERS: tuple[Callable[[_Buffer], tuple[int, ...]], ...] = (
    lambda buffer: (-buffer.size, buffer.first),
    lambda buffer: (-buffer.size * (buffer.last - buffer.first + 1), buffer.first),
    lambda buffer: (buffer.first, -buffer.size),
    lambda buffer: (-buffer.last, -buffer.size),
)
"""Sort keys of the greedy packings that are tried."""


def _packings(buffers: Sequence[_Buffer], arch: Arch, preferred: _Clashes) -> Iterator[_Packing]:
    for order in _ORDERS:
        packing = _Packing(arch, preferred)
        for buffer in sorted(buffers, key=order):
            packing.place(buffer)
        yield packing


def _pack(buffers: Sequence[_Buffer], arch: Arch, clashes: _Clashes) -> tuple[_Packing, int]:
    """The packing that fits and loses the fewest cycles, and the peak of the tightest."""
    tight = list(_packings(buffers, arch, {}))
    packings = [*_packings(buffers, arch, clashes), *tight]
    best = min(packings, key=lambda one: (max(0, one.top - arch.act_depth), one.lost(clashes), one.top))
    return best, min(one.top for one in tight)


def _live(buffers: Sequence[_Buffer], index: int) -> list[_Buffer]:
    return [buffer for buffer in buffers if buffer.first <= index <= buffer.last]


def _larger(arch: Arch, elements: int) -> str:
    fitting = [preset.name for preset in PRESETS.values() if preset.act_depth >= elements]
    return f"a larger arch such as {fitting[0]!r} or " if fitting else ""


def _refuse(graph: Graph, buffers: Sequence[_Buffer], arch: Arch, peak: int) -> CapacityError:
    """Say by how much, where, and what would help."""
    worst = max(range(len(graph.nodes)), key=lambda at: sum(buffer.size for buffer in _live(buffers, at)))
    live = sorted(_live(buffers, worst), key=lambda buffer: -buffer.size)
    listed = ", ".join(f"{buffer.name!r} {buffer.size}" for buffer in live[:3])
    return CapacityError(
        f"activations do not fit: {peak} elements are needed, arch {arch.name!r} has {arch.act_depth}, "
        f"{peak - arch.act_depth} too many; fullest at node {graph.nodes[worst].name!r} with {listed}; "
        f"what helps: {_larger(arch, peak)}act_lines={-(-peak // arch.line)}, or a smaller input"
    )


def allocate(graph: Graph, layouts: Mapping[str, Layout], arch: Arch) -> Placement:
    """Addresses for all activation tensors; all are multiples of the line.

    Raises:
        CapacityError: they do not fit; the message says by how much, which tensors are the largest, and what helps.
    """
    roots = _join_views(graph, layouts)
    lifetimes = roots.lifetimes()
    _join_in_place(graph, layouts, roots, arch)
    buffers = _buffers(roots, layouts, arch)
    packing, peak = _pack(buffers, arch, _clashes(graph, roots, layouts, arch))
    if packing.top > arch.act_depth:
        raise _refuse(graph, buffers, arch, peak)
    bases = {name: packing.bases[root] + _offset(name, layouts) for name, root in roots.root.items()}
    return Placement(bases, packing.top, peak, _bound(graph, buffers), lifetimes)


def _offset(name: str, layouts: Mapping[str, Layout]) -> int:
    """Where a tensor lies in its buffer."""
    layout = layouts[name]
    return layout.offset + _offset(layout.home, layouts) if layout.home else 0


def _bound(graph: Graph, buffers: Sequence[_Buffer]) -> int:
    return max(sum(buffer.size for buffer in _live(buffers, at)) for at in range(-1, len(graph.nodes) + 1))


def live_elements(graph: Graph, layouts: Mapping[str, Layout], arch: Arch) -> int:
    """The largest sum of tensors alive at the same time: what any placement needs."""
    roots = _join_views(graph, layouts)
    _join_in_place(graph, layouts, roots, arch)
    return _bound(graph, _buffers(roots, layouts, arch))
