# SPDX-License-Identifier: Apache-2.0
"""The compiler's graph: one set of frozen classes for the float and the integer level.

Tensors are named; activations have the shapes of the ONNX network (NCHW, or NC for vectors). A graph is never changed:
a pass returns a new one. What is legal at which level is checked by :mod:`systolith.compiler.verify`.

**Float level.** Operators and attributes as in ONNX after import: ``Conv``, ``Gemm``, ``Relu``, ``Add``, ... Constant
operands (weights, bias) are inputs that name an entry of :attr:`Graph.constants`.

**Integer level.** Every activation tensor carries :class:`QParams`; integers are signed, of ``bits`` bits (uint8
networks are shifted by -128 at import, noted in ``QParams.unsigned``). A tensor of shape (N, C) counts as (N, C, 1, 1),
one of shape (N, C, L) as (N, C, 1, L).
*Relative* means relative to the zero point. Bounds ``lo``/``hi`` are relative to the zero point of the value they
bound. Real factors are Python floats / float64; every back end turns them into integers with
:mod:`systolith.spec.fixed`. ``zero_t`` below is the zero point of tensor ``t``.

``QConv``, inputs ``(x,)`` or ``(x, residual)``
    Constants named by attributes: ``weight`` (int64, O x I/group x kh x kw, symmetric), ``bias`` (int64, O; without the
    zero-point correction), ``factor`` (float64, O: s_x * s_w[o] / s_own). Further ``kernel`` (kh, kw), ``strides``
    (sy, sx), ``pads`` (top, left, bottom, right), ``dilations`` (dy, dx), ``group``, ``lo``, ``hi``::

        own = clamp(round(factor * (sum(w * (x - zero_x)) + bias)), lo, hi)

    Optional: ``weight_bits`` (2 to 16), the bits that the integers of ``weight`` fit; absent, the architecture's.
    Padding contributes zero. Without a residual ``y = own + zero_y``. With one, ``add`` is an
    :class:`AddAttributes` and::

        y = zero_y + clamp(round(m_own * own + m_res * (r - zero_r)), add.lo, add.hi)

``QPool``, input ``(x,)``
    ``mode`` ("max" or "average"), ``kernel``, ``strides``, ``pads``, ``count_include_pad`` (bool), ``factor`` (float:
    s_x / s_y), ``lo``, ``hi``::

        max: y = zero_y + clamp(round(factor * (max(x) - zero_x)), lo, hi)
        average: y = zero_y + clamp(round(factor / n * sum(x - zero_x)), lo, hi)

    where n is the number of taps inside the tensor, or kh * kw with ``count_include_pad``. Padding never wins.
    Optional ``dilations`` (dy, dx), (1, 1) if absent.

``QMatMul``, inputs ``(x, w)``
    ``x`` is (1, K, H, W), ``w`` (1, N, h, w) with ``h * w = K``, whose pixels ``k`` count row by row; the zero points
    of both are 0. ``factor`` (float: s_x * s_w / s_own), ``lo``, ``hi``; the result is (1, N, H, W)::

        y[n, p] = zero_y + clamp(round(factor * sum_k(x[k, p] * w[n, k])), lo, hi)

    Optional ``transposed`` (bool): ``w`` is (1, K, h, w) with ``h * w = N``, and ``w[k, n]`` stands in the sum.

``QAdd``, inputs ``(a, b)``
    ``add``: AddAttributes; ``y = zero_y + clamp(round(m_own * (a - zero_a) + m_res * (b - zero_b)), lo, hi)``. Here and
    in QMul ``b`` may be a single pixel, (N, C, 1, 1), which then meets every pixel of ``a``.

``QMul``, inputs ``(a, b)``
    ``factor`` (float: s_a * s_b * 2**bits / s_y, so small that ``own`` fits bits + 3), ``lo``, ``hi``::

        own = round(factor * (a - zero_a))
        y = zero_y + clamp(round(own * (b - zero_b) / 2**bits), lo, hi)

``QRequant``, input ``(x,)``
    ``factor``, ``lo``, ``hi``: ``y = zero_y + clamp(round(factor * (x - zero_x)), lo, hi)``.

``QTable``, input ``(x,)``
    Constant named by attribute ``table`` (int64, ``2**bits`` entries: the output's stored integers, for x's smallest
    integer first): ``y = table[x - low_x]``, where ``low_x`` is the smallest integer of x's :class:`QParams`.

``table`` and ``inner`` on QConv, QMatMul, QAdd, QMul, QPool, QRequant
    Both or neither. Everything above is as without them, but in terms of ``inner`` (a :class:`QParams`: what factors
    and bounds refer to) instead of the output's; with ``clamped`` the result relative to its zero point::

        y = table[inner.zero_point + clamped - inner.low]

    A residual add comes before the table.

``QMove``, inputs ``(x0, x1, ...)``
    Elements move, nothing is computed but a change of scale: ``moves`` (tuple of :class:`Move`, whose targets do not
    overlap), ``factors`` (a float for each input: s_x / s_y), ``lo`` <= 0 <= ``hi``, ``fill`` (int, relative to zero_y:
    every element that nothing is moved to)::

        y[target] = zero_y + clamp(round(factor_i * (x_i[source] - zero_i)), lo, hi)

``QTranspose``, input ``(x,)``
    Channels and pixels are exchanged, the pixels of either counted row by row: ``y[p, c] = x[c, p]``, of the same
    :class:`QParams`.

``View``, input ``(x,)``
    The same integers in another shape, such that the NHWC order does not change: (N, C, 1, 1) <-> (N, C),
    (N, C, 1, L) <-> (N, C, L). They may mean something else: the scale may differ, the zero point may not.

The sums above are exact integers; ``round(factor * v)`` is :func:`systolith.spec.fixed.requantise`, the add is
:func:`systolith.spec.fixed.residual_add` and the product :func:`systolith.spec.fixed.residual_multiply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AddAttributes", "Graph", "Move", "Node", "QParams", "Run", "Tensor"]


@dataclass(frozen=True)
class QParams:
    """What a tensor's integers mean: real = ``scale * (q - zero_point)``, ``q`` signed of ``bits`` bits."""

    scale: float
    zero_point: int = 0
    bits: int = 8
    unsigned: bool = False
    """The network's own integers are unsigned: the ones here plus ``2**(bits - 1)``."""

    @property
    def offset(self) -> int:
        """What the network's own integers have more than the ones here."""
        return 1 << (self.bits - 1) if self.unsigned else 0

    @property
    def low(self) -> int:
        """Smallest integer."""
        return -(1 << (self.bits - 1))

    @property
    def high(self) -> int:
        """Largest integer."""
        return (1 << (self.bits - 1)) - 1


@dataclass(frozen=True)
class AddAttributes:
    """A two-operand add: real factors s_operand / s_sum, and bounds relative to the sum's zero point."""

    m_own: float
    m_res: float
    lo: int
    hi: int


@dataclass(frozen=True)
class Run:
    """Positions along one axis: element ``i`` of ``count`` goes from ``source + i * source_step`` to ``target + i *
    target_step``.

    A source step of 0 repeats one element, a negative one runs backwards; a target step is positive.
    """

    source: int
    target: int
    count: int
    source_step: int = 1
    target_step: int = 1


@dataclass(frozen=True)
class Move:
    """A box of elements of one input of a QMove, by axis of the target; channels have steps of 1."""

    input: int
    channels: Run
    rows: Run
    columns: Run
    transposed: bool = False
    """The target's rows run along the source's columns, and its columns along the source's rows."""


@dataclass(frozen=True)
class Tensor:
    """A named activation: its static shape and, at the integer level, its quantisation."""

    name: str
    shape: tuple[int, ...]
    qparams: QParams | None = None


@dataclass(frozen=True)
class Node:
    """An operator application. ``name`` is the ONNX node's name (made up where it has none)."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    origin: tuple[str, ...] = ()
    """Operators fused into this node, in order, such as ``("Conv", "Relu", "Add")``; for reports."""


@dataclass(frozen=True)
class Graph:
    """A network: nodes in topological order, tensors by name, constants by name."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    tensors: Mapping[str, Tensor]
    constants: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    host_tail: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By output: steps left to the host, in order, as text (:class:`systolith.compiler.borders.HostStep`)."""
    integer_io: frozenset[str] = frozenset()
    """Inputs and outputs that the network itself exposes as integers; all others are float."""

    def with_(self, **changes: Any) -> Graph:
        """A copy with some fields replaced."""
        return replace(self, **changes)

    def producer(self, tensor: str) -> Node | None:
        """The node that computes ``tensor``; None for a graph input or a constant."""
        return next((node for node in self.nodes if tensor in node.outputs), None)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read ``tensor``, in order."""
        return tuple(node for node in self.nodes if tensor in node.inputs)

    def constant(self, name: str) -> NDArray[Any]:
        """A constant by name; raises KeyError."""
        return np.asarray(self.constants[name])
