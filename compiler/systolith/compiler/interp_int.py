# SPDX-License-Identifier: Apache-2.0
"""The golden reference: a batched numpy executor of the integer-level graph.

What an operator computes is defined in :mod:`systolith.compiler.ir` and :mod:`systolith.spec.fixed`; this module
follows these definitions literally and knows nothing of tiles, memories or the passes that made the graph. Every number
it returns is exact: matrix products run in float64 only where the sum of the magnitudes stays below 2**53, so that
every partial sum, in any order, is an exact integer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith.spec.fixed import FINER, LaneWidths, make_add_multiplier

from .fixed_np import Ints, make_scalers, requantise, residual_add, residual_multiply
from .ir import AddAttributes, Graph, Node, QParams

__all__ = ["AccumulatorOverflow", "check_feeds", "run_integer"]

_FLOAT64_EXACT = 1 << 53

_CHUNK = 16
"""Images executed together: enough to hide the interpreter's overhead, few enough to stay in the cache."""


class AccumulatorOverflow(ArithmeticError):
    """A sum needs more bits than the accumulator has; the message names the node."""


def run_integer(
    graph: Graph,
    feeds: Mapping[str, Ints],
    *,
    acc_bits: int = 32,
    act_bits: int | None = None,
    precision: int = 0,
    keep: Collection[str] | None = None,
) -> dict[str, Ints]:
    """Execute an integer-level graph on a batch.

    Args:
        graph: integer level, batch 1.
        feeds: every graph input: the engine's signed integers, (N, C, H, W) or (N, C), any N.
        acc_bits: bits of an accumulator; with ``act_bits`` and ``precision`` they decide the lanes' widths.
        act_bits: bits of the engine's activations; the tensors' own if None.
        precision: further bits of the lanes.
        keep: tensors to return; all of them if None. The others are dropped after their last use.

    Returns:
        Tensor name to int64 values of shape (N, ...).

    Raises:
        ValueError: a feed is missing, unknown, out of range or of the wrong shape.
        AccumulatorOverflow: a sum does not fit ``acc_bits``.
        systolith.spec.fixed.UnrepresentableScale: a factor the lanes cannot hold.
    """

    def widths(bits: int) -> LaneWidths:
        return LaneWidths(act_bits or bits, acc_bits, precision)

    check_feeds(graph, feeds)
    everything = (*graph.inputs, *(name for node in graph.nodes for name in node.outputs))
    names = everything if keep is None else tuple(keep)
    batch = min((len(feed) for feed in feeds.values()), default=0)
    parts = []
    for start in range(0, max(batch, 1), _CHUNK):
        part = {name: np.asarray(feed[start : start + _CHUNK], dtype=np.int64) for name, feed in feeds.items()}
        parts.append(_run_chunk(graph, part, widths, names))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _run_chunk(
    graph: Graph, values: dict[str, Ints], widths: Callable[[int], LaneWidths], names: Collection[str]
) -> dict[str, Ints]:
    """All nodes in order on a few images; ``values`` is used up."""
    last_use = {name: node.name for node in graph.nodes for name in node.inputs}
    for node in graph.nodes:
        output = node.outputs[0]
        batch = values[node.inputs[0]].shape[0]
        result = _OPERATORS[node.op](_Step(graph, node, values, widths))
        values[output] = result.reshape(batch, *graph.tensors[output].shape[1:])
        for name in set(node.inputs).difference(names):
            if last_use[name] == node.name:
                del values[name]
    return {name: values[name] for name in names}


def check_feeds(graph: Graph, feeds: Mapping[str, Ints]) -> None:
    """Raise ValueError unless ``feeds`` holds every input of ``graph``, in range, of its shape (any one batch)."""
    if set(feeds) != set(graph.inputs):
        raise ValueError(f"feeds must be {sorted(graph.inputs)}, got {sorted(feeds)}")
    if len({len(feed) for feed in feeds.values()}) > 1:
        raise ValueError(f"feeds must have one batch size, got {[len(feed) for feed in feeds.values()]}")
    for name, feed in feeds.items():
        tensor = graph.tensors[name]
        qparams = _qparams(graph, name)
        if feed.shape[1:] != tensor.shape[1:]:
            raise ValueError(f"input {name!r}: shape must be (N, {_dims(tensor.shape[1:])}), got {feed.shape}")
        if not np.issubdtype(feed.dtype, np.integer):
            raise ValueError(f"input {name!r}: must be integers, got {feed.dtype}")
        if feed.size and not qparams.low <= feed.min() <= feed.max() <= qparams.high:
            expected = f"{qparams.low}..{qparams.high}"
            raise ValueError(f"input {name!r}: must be in {expected}, got {feed.min()}..{feed.max()}")


def _dims(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def _qparams(graph: Graph, tensor: str) -> QParams:
    qparams = graph.tensors[tensor].qparams
    if qparams is None:
        raise ValueError(f"tensor {tensor!r} has no quantisation: not an integer-level graph")
    return qparams


class _Step:
    """One node with its operands: what every operator below reads."""

    def __init__(
        self, graph: Graph, node: Node, values: Mapping[str, Ints], widths: Callable[[int], LaneWidths]
    ) -> None:
        self.graph, self.node = graph, node
        self.attributes: Mapping[str, Any] = node.attributes
        self._values = values
        self.own: QParams = node.attributes.get("inner") or _qparams(graph, node.outputs[0])
        self.widths = widths(self.own.bits)

    def relative(self, index: int) -> Ints:
        """Input ``index`` relative to its zero point, (N, C, H, W)."""
        name = self.node.inputs[index]
        value = self._values[name] - _qparams(self.graph, name).zero_point
        return value.reshape(value.shape[0], *_map_shape(value.shape))

    def bits(self) -> int:
        """Bits of input 0."""
        return _qparams(self.graph, self.node.inputs[0]).bits

    @property
    def bounds(self) -> tuple[int, int]:
        """The node's own."""
        return self.attributes["lo"], self.attributes["hi"]

    def constant(self, attribute: str) -> NDArray[Any]:
        """The constant that an attribute names."""
        return self.graph.constant(self.attributes[attribute])

    def stored(self, relative: Ints) -> Ints:
        """The output's integers of a result relative to its zero point: through the table where there is one."""
        value = relative + self.own.zero_point
        return self.constant("table")[value - self.own.low] if "table" in self.attributes else value

    def lanes(self, acc: Ints, factors: NDArray[np.float64]) -> Ints:
        """Requantise (N, C, H, W) accumulators to the node's bounds; ``factors`` broadcasts against (C, H, W)."""
        return self._requantised(acc, factors, *self.bounds)

    def factor_of_product(self, acc: Ints, factor: float) -> Ints:
        """Requantise (N, C, H, W) values to a lane's own result before a product, which is finer than an element."""
        limit = 1 << (self.widths.own - 1)
        return self._requantised(acc, np.array(factor / (1 << FINER)), -limit, limit - 1, FINER)

    def _requantised(self, acc: Ints, factors: NDArray[np.float64], low: int, high: int, finer: int = 0) -> Ints:
        limit = 1 << (self.widths.acc_bits - 1)
        if acc.size and not -limit <= acc.min() <= acc.max() < limit:
            needs = f"a sum of {acc.min()}..{acc.max()} overflows {self.widths.acc_bits} bits"
            raise AccumulatorOverflow(f"node {self.node.name!r} ({self.node.op}): {needs}")
        multiplier, shift = (part.reshape(factors.shape) for part in make_scalers(factors.ravel(), self.widths))
        return requantise(acc, multiplier, shift, low, high, self.widths, finer)

    def add(self, own: Ints, other: Ints, add: AddAttributes) -> Ints:
        """The residual add of two values relative to their zero points."""
        m_own, m_res = (make_add_multiplier(real, self.widths) for real in (add.m_own, add.m_res))
        return residual_add(own, other, m_own, m_res, add.lo, add.hi, self.widths)


def _map_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Channels, height and width of a batch of maps, sequences or vectors."""
    channels, *size = shape[1:]
    height, width = (1, 1, *size)[-2:]
    return channels, height, width


# ---------------------------------------------------------------------- windows


def _taps(x: NDArray[Any], node: Node, fill: int) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """For every tap of a window: kernel row, kernel column, and its element for all output pixels, (..., OH, OW)."""
    (kh, kw), (sy, sx) = node.attributes["kernel"], node.attributes["strides"]
    top, left, bottom, right = node.attributes["pads"]
    dy, dx = node.attributes.get("dilations", (1, 1))
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)], constant_values=fill)
    high = (padded.shape[-2] - dy * (kh - 1) - 1) // sy + 1
    wide = (padded.shape[-1] - dx * (kw - 1) - 1) // sx + 1
    for ky in range(kh):
        for kx in range(kw):
            rows = slice(dy * ky, dy * ky + sy * (high - 1) + 1, sy)
            cols = slice(dx * kx, dx * kx + sx * (wide - 1) + 1, sx)
            yield ky, kx, padded[..., rows, cols]


def _product_type(weight: Ints, bits: int) -> type:
    """float64 (fast) if no sum of magnitudes reaches 2**53, else int64; activations relative to any zero point."""
    largest = int(np.abs(weight).sum(axis=(1, 2, 3)).max(initial=0)) << bits
    return np.float64 if largest < _FLOAT64_EXACT else np.int64


def _convolve(x: Ints, weight: Ints, node: Node, bits: int) -> Ints:
    """Exact sums of a grouped convolution, (N, O, OH, OW): one matrix product for each tap of the kernel."""
    group, outputs, inputs = node.attributes["group"], weight.shape[0], weight.shape[1]
    number = _product_type(weight, bits)
    by_tap: NDArray[Any] = weight.astype(number).reshape(group, outputs // group, inputs, *weight.shape[2:])
    total: NDArray[Any] | None = None
    for ky, kx, tap in _taps(x.astype(number), node, fill=0):
        size = tap.shape[2:]
        columns = tap.reshape(len(x), group, inputs, -1)
        product = by_tap[..., ky, kx] @ columns if inputs > 1 else by_tap[..., ky, kx] * columns
        total = product if total is None else total + product
    return np.asarray(total, dtype=np.int64).reshape(len(x), outputs, *size)


# ---------------------------------------------------------------------- operators


def _conv(step: _Step) -> Ints:
    """``own = clamp(round(factor * (sum(w * (x - zero_x)) + bias)), lo, hi)``, then the residual add if any."""
    sums = _convolve(step.relative(0), step.constant("weight"), step.node, step.bits())
    own = step.lanes(sums + step.constant("bias")[:, None, None], step.constant("factor")[:, None, None])
    if "add" in step.attributes:
        own = step.add(own, step.relative(1), step.attributes["add"])
    return step.stored(own)


def _matmul(step: _Step) -> Ints:
    """``clamp(round(factor * sum_k(x[k, p] * w[n, k])), lo, hi)``, or with ``w[k, n]``."""
    left, right = step.relative(0), step.relative(1)
    terms = left.shape[1]
    number = np.float64 if terms << (2 * step.bits()) < _FLOAT64_EXACT else np.int64
    rows, columns = (part.astype(number).reshape(*part.shape[:2], -1) for part in (right, left))
    rows = rows.swapaxes(1, 2) if step.attributes.get("transposed", False) else rows
    sums = (rows @ columns).astype(np.int64).reshape(len(left), rows.shape[1], *left.shape[2:])
    return step.stored(step.lanes(sums, np.array(step.attributes["factor"])))


def _pool(step: _Step) -> Ints:
    """Maximum or average over windows; padding never wins and contributes zero."""
    if step.attributes["mode"] == "max":
        lowest = np.iinfo(np.int64).min
        largest = _reduce(np.maximum, step.relative(0), step.node, fill=lowest)
        return step.stored(step.lanes(largest, np.array(step.attributes["factor"])))
    sums = _reduce(np.add, step.relative(0), step.node, fill=0)
    return step.stored(step.lanes(sums, step.attributes["factor"] / _divisors(step)))


def _reduce(function: Callable[[Ints, Ints], Ints], x: Ints, node: Node, fill: int) -> Ints:
    total: Ints | None = None
    for _, _, tap in _taps(x, node, fill):
        total = tap if total is None else function(total, tap)
    return np.asarray(total)


def _divisors(step: _Step) -> Ints:
    """Taps that count in each window: all of them, or those inside the tensor, (OH, OW)."""
    kh, kw = step.attributes["kernel"]
    if step.attributes["count_include_pad"]:
        return np.array(kh * kw)
    inside = np.ones(step.relative(0).shape[2:], dtype=np.int64)
    return _reduce(np.add, inside, step.node, fill=0)


def _add(step: _Step) -> Ints:
    return step.stored(step.add(step.relative(0), step.relative(1), step.attributes["add"]))


def _multiply(step: _Step) -> Ints:
    """``round(own * (b - zero_b) / 2**bits)`` with ``own = round(factor * (a - zero_a))``."""
    own = step.factor_of_product(step.relative(0), step.attributes["factor"])
    return step.stored(residual_multiply(own, step.relative(1), *step.bounds, step.widths))


def _requant(step: _Step) -> Ints:
    return step.stored(step.lanes(step.relative(0), np.array(step.attributes["factor"])))


def _table(step: _Step) -> Ints:
    """``table[x - low_x]``."""
    x = _qparams(step.graph, step.node.inputs[0])
    return step.constant("table")[step.relative(0) + x.zero_point - x.low]


def _move(step: _Step) -> Ints:
    """Each move's elements change scale on their way; ``fill`` is what none of them reaches."""
    shape = step.graph.tensors[step.node.outputs[0]].shape
    result = np.full((len(step.relative(0)), *_map_shape(shape)), step.attributes["fill"], dtype=np.int64)
    for move in step.attributes["moves"]:
        x = step.relative(move.input)
        runs = (move.channels, move.rows, move.columns)
        source = (run.source + np.arange(run.count) * run.source_step for run in runs)
        target = (run.target + np.arange(run.count) * run.target_step for run in runs)
        batch = np.arange(len(x))
        moved = (x.swapaxes(2, 3) if move.transposed else x)[np.ix_(batch, *source)]
        result[np.ix_(batch, *target)] = step.lanes(moved, np.array(step.attributes["factors"][move.input]))
    return step.stored(result)


def _transpose(step: _Step) -> Ints:
    """``y[p, c] = x[c, p]``."""
    x = step.relative(0)
    return x.reshape(*x.shape[:2], -1).swapaxes(1, 2) + step.own.zero_point


def _view(step: _Step) -> Ints:
    return step.relative(0) + step.own.zero_point


_OPERATORS: dict[str, Callable[[_Step], Ints]] = {
    "QConv": _conv,
    "QMatMul": _matmul,
    "QMove": _move,
    "QMul": _multiply,
    "QPool": _pool,
    "QAdd": _add,
    "QRequant": _requant,
    "QTable": _table,
    "QTranspose": _transpose,
    "View": _view,
}
