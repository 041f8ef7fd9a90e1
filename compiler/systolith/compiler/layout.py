# SPDX-License-Identifier: Apache-2.0
"""How tensors lie in the activation memory: NHWC with padded channels, unless packing finds better.

Three things decide a channel pitch. Windows start at multiples of the bank granule. The engine stores whole vectors of
``cols`` channels, so what it writes gets a multiple of that. A residual operand is read in such vectors too. Network
inputs without a residual use stay as dense as the granule allows, which is what packs few channels into long windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from systolith.spec.arch import Arch

from .errors import UnsupportedModel
from .ir import Graph, Node

__all__ = ["Layout", "extents", "plan_layouts", "residual_of", "round_up"]


def round_up(value: int, multiple: int) -> int:
    """The next multiple of ``multiple``."""
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class Layout:
    """A tensor's extents and pitches, in elements: how far pixels and rows lie apart.

    A network input may also lie in ``block``s of (y, x) pixels: the elements of a block are neighbours, rows of it one
    after another, and the pitches are those of blocks.
    """

    height: int
    width: int
    channels: int
    channel_pitch: int
    """Elements between neighbours in x."""
    row_pitch: int = 0
    """Elements between neighbours in y; 0 stands for rows that follow each other without a gap."""
    block: tuple[int, int] = (1, 1)
    home: str = ""
    """The tensor in whose memory it lies, if it has none of its own; see :mod:`systolith.compiler.homes`."""
    offset: int = 0
    """Elements from the first of its home."""

    def __post_init__(self) -> None:
        """Make the row pitch explicit."""
        if not self.row_pitch:
            object.__setattr__(self, "row_pitch", -(-self.width // self.block[1]) * self.channel_pitch)

    @property
    def row_len(self) -> int:
        """Elements from the first to the last of a row, the gap before the next row left out."""
        return self.width * self.channel_pitch

    @property
    def elements(self) -> int:
        """Elements from the first to the last, padding included."""
        down, across = -(-self.height // self.block[0]), -(-self.width // self.block[1])
        return max(down * self.row_pitch, across * self.channel_pitch)

    @property
    def dense(self) -> bool:
        """No padding between the elements, and in the order of NHWC."""
        in_order = self.block == (1, 1) and self.row_pitch == self.row_len
        return in_order and self.channels == self.channel_pitch

    @property
    def by_columns(self) -> bool:
        """Columns are the contiguous lines, not rows."""
        return self.row_pitch < self.channel_pitch

    @property
    def transposed(self) -> Layout:
        """The same memory with x and y exchanged; of a layout without blocks."""
        return Layout(self.width, self.height, self.channels, self.row_pitch, self.channel_pitch)

    @property
    def blocks(self) -> Layout:
        """The same memory with each block seen as one pixel of ``block`` times the channels."""
        (by, bx), channels = self.block, self.channels * self.block[0] * self.block[1]
        return Layout(-(-self.height // by), -(-self.width // bx), channels, self.channel_pitch, self.row_pitch)


def extents(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Height, width and channels of an NCHW, NCL or NC shape."""
    _, channels, *size = shape
    height, width = (1, 1, *size)[-2:]
    return height, width, channels


def residual_of(node: Node) -> str | None:
    """The tensor that a node's lanes add or multiply with, if any."""
    return node.inputs[1] if len(node.inputs) > 1 and node.op not in ("QMatMul", "QMove") else None


def _residual_operands(graph: Graph) -> set[str]:
    """Tensors read in store order, also through views."""
    operands = {name for node in graph.nodes if (name := residual_of(node)) is not None}
    for node in reversed(graph.nodes):
        if node.op == "View" and node.outputs[0] in operands:
            operands.add(node.inputs[0])
    return operands


def _view(graph: Graph, node: Node, source: Layout) -> Layout:
    """The layout of a view; the elements do not move."""
    height, width, channels = extents(graph.tensors[node.outputs[0]].shape)
    if (height, width, channels) == (source.height, source.width, source.channels):
        return source
    if channels == source.channels and source.block == (1, 1) and source.row_pitch == source.row_len:
        return Layout(height, width, channels, source.channel_pitch)
    if not source.dense:
        raise UnsupportedModel(
            node=node.name,
            op="View",
            problem=f"{graph.tensors[node.inputs[0]].shape} has {source.channel_pitch - source.channels} padding "
            f"channels, so it cannot be seen as {graph.tensors[node.outputs[0]].shape}",
            accepted="views that keep height, width and channels, or tensors without padding",
            advice=f"make the channel count a multiple of {source.channel_pitch}",
        )
    return Layout(height, width, channels, channels)


def plan_layouts(graph: Graph, arch: Arch) -> Mapping[str, Layout]:
    """A layout for every activation tensor of the graph.

    Raises:
        UnsupportedModel: a view would have to move elements.
    """
    stored = max(arch.cols, arch.act_granule)
    residual = _residual_operands(graph)
    layouts: dict[str, Layout] = {}
    for name in graph.inputs:
        height, width, channels = extents(graph.tensors[name].shape)
        multiple = stored if name in residual else arch.act_granule
        layouts[name] = Layout(height, width, channels, round_up(channels, multiple))
    for node in graph.nodes:
        for name in node.outputs:
            if node.op == "View":
                layouts[name] = _view(graph, node, layouts[node.inputs[0]])
            else:
                height, width, channels = extents(graph.tensors[name].shape)
                layouts[name] = Layout(height, width, channels, round_up(channels, stored))
    return layouts
