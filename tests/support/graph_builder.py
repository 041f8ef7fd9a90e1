# SPDX-License-Identifier: Apache-2.0
"""Integer-level graphs, one operator after the other, with what is not given drawn at random within limits.

Tensors get quantisation parameters that keep values in range (some saturation, no constant outputs), so that an error
anywhere shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.ir import AddAttributes, Graph, Node, QParams, Tensor
from tests.support.random_moves import random_moves

__all__ = ["GraphBuilder", "Limits"]

Pair = tuple[int, int]
Shape = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Largest values the generator draws."""

    act_bits: int = 8
    weight_bits: int = 8
    size: int = 12
    """Height and width of a graph's input."""
    channels: int = 12
    kernel: int = 7
    stride: int = 3
    dilation: int = 2
    grouped: bool = False
    """Also grouped convolutions that are not depthwise."""
    padded_average: bool = True
    """Also average pooling that does not count its padding (its divisor depends on the place)."""
    tables: bool = False
    """Networks also have tables of function values between their layers."""
    narrow: bool = False
    """Convolutions' weights are of 8, 4 or 2 bits, layer by layer; ``weight_bits`` must be 8."""


@dataclass(kw_only=True)
class GraphBuilder:
    """A graph under construction: each method adds a node on named tensors and returns its output's name."""

    rng: np.random.Generator
    limits: Limits = field(default_factory=Limits)
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)

    # ------------------------------------------------------------------ draws

    def _int(self, low: int, high: int) -> int:
        """A whole number in ``low..high``."""
        return int(self.rng.integers(low, high + 1))

    def _qparams(self) -> QParams:
        bits = self.limits.act_bits
        kind = self._int(0, 3)
        quarter = 1 << (bits - 2)
        zero = {0: 0, 1: -(1 << (bits - 1))}.get(kind, self._int(-quarter, quarter))
        return QParams(float(self.rng.uniform(0.01, 0.1)), zero, bits)

    def _bounds(self, qparams: QParams) -> Pair:
        """Bounds relative to the zero point: saturation alone, or with a Relu, or with a Clip."""
        low, high = qparams.low - qparams.zero_point, qparams.high - qparams.zero_point
        kind = self._int(0, 3)
        if kind == 0:
            return max(low, 0), high
        if kind == 1:
            return max(low, -(self._int(1, 1 << (qparams.bits - 1)))), min(high, self._int(1, 1 << (qparams.bits - 1)))
        return low, high

    def _factor(self, sigma: float) -> float:
        """A rescaling factor that spreads values of standard deviation ``sigma`` over the output's range."""
        spread = float(1 << (self.limits.act_bits - 1)) / (2.5 * max(sigma, 1e-3))
        return min(spread * float(self.rng.uniform(0.5, 1.5)), 3.9)

    def _sigma(self) -> float:
        """Standard deviation of uniform activations."""
        return float(1 << self.limits.act_bits) / 12**0.5

    def map_size(self, name: str) -> tuple[int, int, int]:
        """Channels, height and width of a tensor."""
        _, channels, *size = self.tensors[name].shape
        height, width = size or (1, 1)
        return channels, height, width

    # ------------------------------------------------------------------ nodes

    def _tensor(self, name: str, shape: tuple[int, ...], qparams: QParams | None = None) -> QParams:
        qparams = qparams or self._qparams()
        self.tensors[name] = Tensor(name, shape, qparams)
        return qparams

    def _emit(self, op: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> str:
        self.nodes.append(Node(op, f"{op.lower()}{len(self.nodes)}", inputs, (output,), attributes, (op[1:],)))
        return output

    def _fresh(self) -> str:
        return f"t{len(self.tensors)}"

    def input(self, channels: int, height: int, width: int) -> str:
        """A graph input."""
        name = f"x{len(self.inputs)}"
        self._tensor(name, (1, channels, height, width))
        self.inputs.append(name)
        return name

    def _window(self, name: str, *, same: bool) -> dict[str, Any]:
        """Kernel, strides, pads and dilations that leave at least one output; ``same`` keeps height and width."""
        _, height, width = self.map_size(name)
        axes = [self._axis(length, same=same) for length in (height, width)]
        (ky, sy, top, bottom, dy), (kx, sx, left, right, dx) = axes
        return {
            "kernel": (ky, kx),
            "strides": (sy, sx),
            "pads": (top, left, bottom, right),
            "dilations": (dy, dx),
        }

    def _axis(self, length: int, *, same: bool) -> tuple[int, int, int, int, int]:
        """Kernel, stride, pads and dilation of one axis."""
        kernel = self._int(1, self.limits.kernel)
        dilation = self._int(1, self.limits.dilation) if kernel > 1 else 1
        reach = dilation * (kernel - 1)
        if same:
            before = self._int(0, reach)
            return kernel, 1, before, reach - before, dilation
        before, after = self._int(0, reach), self._int(0, reach)
        if before + after < reach + 1 - length:
            return 1, 1, 0, 0, 1
        return kernel, self._int(1, self.limits.stride), before, after, dilation

    def conv(
        self,
        name: str,
        outputs: int | None = None,
        *,
        residual: str | None = None,
        same: bool = False,
        flat: bool = False,
        group: int = 1,
        single: tuple[int, ...] = (),
    ) -> str:
        """A convolution of random window; ``same`` keeps height and width, ``flat`` takes the whole map (a Gemm).

        Along the axes ``single`` the kernel has one tap.
        """
        inputs, height, width = self.map_size(name)
        window = self._window(name, same=same or residual is not None)
        for axis in single:
            window = _one_tap(window, axis)
        if flat:
            window = {"kernel": (height, width), "strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1)}
        if residual is not None:
            outputs = self.map_size(residual)[0]
        outputs = group * max(1, (outputs or self._int(1, self.limits.channels)) // group)
        bits = self._weight_bits()
        bound = (1 << (bits - 1)) - 1
        weight = self.rng.integers(-bound - 1, bound + 1, (outputs, inputs // group, *window["kernel"]))
        sigma = self._sigma() * np.sqrt((weight.astype(float) ** 2).sum(axis=(1, 2, 3)))
        output = self._fresh()
        size = _output_size((height, width), window)
        qparams = self._tensor(output, (1, outputs) if flat else (1, outputs, *size))
        low, high = self._bounds(qparams) if residual is None else (qparams.low, qparams.high)
        self.constants[f"{output}.weight"] = weight.astype(np.int64)
        self.constants[f"{output}.bias"] = np.rint(self.rng.normal(0, sigma / 2)).astype(np.int64)
        self.constants[f"{output}.factor"] = np.array([self._factor(value) for value in sigma])
        return self._emit(
            "QConv",
            (name,) if residual is None else (name, residual),
            output,
            weight=f"{output}.weight",
            bias=f"{output}.bias",
            factor=f"{output}.factor",
            **window,
            group=group,
            lo=low,
            hi=high,
            **({} if residual is None else {"add": self._add(qparams)}),
            **({"weight_bits": bits} if self.limits.narrow else {}),
        )

    def _weight_bits(self) -> int:
        return int(self.rng.choice((8, 4, 2))) if self.limits.narrow else self.limits.weight_bits

    def depthwise(self, name: str, *, residual: str | None = None) -> str:
        """A convolution of each channel by itself, not dilated; half of the kernels are lines."""
        limits, channels, line = self.limits, self.map_size(name)[0], self._int(0, 3)
        self.limits = replace(limits, dilation=1)
        output = self.conv(name, channels, residual=residual, group=channels, single=(line,))
        self.limits = limits
        return output

    def _add(self, qparams: QParams) -> AddAttributes:
        own, other = self.rng.uniform(0.2, 0.9, 2)
        return AddAttributes(float(own), float(other), *self._bounds(qparams))

    def pool(self, name: str, mode: str | None = None) -> str:
        """Max or average pooling."""
        channels, height, width = self.map_size(name)
        window = self._window(name, same=False)
        mode = mode or ("max", "average")[self._int(0, 1)]
        for axis, length in enumerate((height, width)):
            # taps further apart than the tensor is long may all lie in the padding: no maximum and no average
            window = _one_tap(window, axis) if length < window["dilations"][axis] else window
        size = _output_size((height, width), window)
        output = self._fresh()
        qparams = self._tensor(output, (1, channels, *size))
        low, high = self._bounds(qparams)
        include = bool(self._int(0, 1)) or not (self.limits.padded_average and mode == "average")
        factor = 1.0 if self._int(0, 1) else float(self.rng.uniform(0.3, 1.2))
        window |= {"mode": mode, "count_include_pad": include, "factor": factor, "lo": low, "hi": high}
        return self._emit("QPool", (name,), output, **window)

    def move(self, *names: str) -> str:
        """Random data movement out of tensors of one shape."""
        output = self._fresh()
        size, moves = random_moves(self.rng, self.map_size(names[0]), len(names))
        qparams = self._tensor(output, (1, *size))
        low, high = self._bounds(qparams)
        factors = tuple(1.0 if self._int(0, 1) else float(self.rng.uniform(0.3, 2.0)) for _ in names)
        fill = self._int(0, 1) * self._int(qparams.low - qparams.zero_point, qparams.high - qparams.zero_point)
        bounds = {"lo": min(low, 0), "hi": max(high, 0)}
        return self._emit("QMove", names, output, moves=moves, factors=factors, fill=fill, **bounds)

    def given(self, op: str, names: tuple[str, ...], size: tuple[int, int, int], **attributes: Any) -> str:
        """An operator with given attributes; its result of ``size`` (C, H, W) is quantised at random."""
        output = self._fresh()
        self._tensor(output, (1, *size))
        return self._emit(op, names, output, **attributes)

    def add(self, left: str, right: str) -> str:
        """A stand-alone add; ``right`` is of ``left``'s shape or a single pixel."""
        output = self._fresh()
        qparams = self._tensor(output, self.tensors[left].shape)
        return self._emit("QAdd", (left, right), output, add=self._add(qparams))

    def multiply(self, left: str, right: str) -> str:
        """A product; ``right`` is of ``left``'s shape or a single pixel."""
        output = self._fresh()
        qparams = self._tensor(output, self.tensors[left].shape)
        low, high = self._bounds(qparams)
        factor = float(self.rng.uniform(0.3, 3.9))  # below what any zero point allows
        return self._emit("QMul", (left, right), output, factor=factor, lo=low, hi=high)

    def combine(self, left: str, right: str) -> str:
        """An add or a product, of the whole of ``right`` or of one pixel made of it."""
        if self._int(0, 1):
            right = self.conv(right, self.map_size(left)[0], flat=True)
        return self.multiply(left, right) if self._int(0, 1) else self.add(left, right)

    def requant(self, name: str) -> str:
        """A change of scale and zero point."""
        output = self._fresh()
        qparams = self._tensor(output, self.tensors[name].shape)
        low, high = self._bounds(qparams)
        return self._emit("QRequant", (name,), output, factor=float(self.rng.uniform(0.3, 2.0)), lo=low, hi=high)

    def centred(self, name: str) -> str:
        """A change of scale, to a zero point of 0."""
        output = self._fresh()
        qparams = self._tensor(output, self.tensors[name].shape, QParams(1.0, 0, self.limits.act_bits))
        factor = float(self.rng.uniform(0.3, 2.0))
        return self._emit("QRequant", (name,), output, factor=factor, lo=qparams.low, hi=qparams.high)

    def matmul(self, left: str, right: str, *, transposed: bool = False) -> str:
        """A product of two tensors whose zero points are 0."""
        terms, *size = self.map_size(left)
        output = self._fresh()
        channels, high, wide = self.map_size(right)
        qparams = self._tensor(output, (1, high * wide if transposed else channels, *size))
        low, high = self._bounds(qparams)
        factor = self._factor(self._sigma() ** 2 * terms**0.5)
        turned = {"transposed": True} if transposed else {}
        return self._emit("QMatMul", (left, right), output, factor=factor, lo=low, hi=high, **turned)

    def exchange(self, name: str) -> str:
        """Channels and pixels exchanged."""
        channels, high, wide = self.map_size(name)
        output = self._fresh()
        self._tensor(output, (1, high * wide, 1, channels), self.tensors[name].qparams)
        return self._emit("QTranspose", (name,), output)

    def table(self, name: str) -> str:
        """A random function of one tensor's elements."""
        output = self._fresh()
        qparams = self._tensor(output, self.tensors[name].shape)
        entries = self.rng.integers(qparams.low, qparams.high + 1, 1 << self.limits.act_bits)
        self.constants[f"{output}.table"] = entries.astype(np.int64)
        return self._emit("QTable", (name,), output, table=f"{output}.table")

    def graph(self, name: str, *outputs: str) -> Graph:
        """The finished graph."""
        return Graph(
            name=name,
            inputs=tuple(self.inputs),
            outputs=outputs,
            nodes=tuple(self.nodes),
            tensors=dict(self.tensors),
            constants=dict(self.constants),
        )


def _one_tap(window: dict[str, Any], axis: int) -> dict[str, Any]:
    """A window with a single tap along an axis."""
    single = {"kernel": 1, "strides": 1, "pads": 0, "dilations": 1}
    return {
        part: tuple(single[part] if index % 2 == axis else value for index, value in enumerate(values))
        for part, values in window.items()
    }


def _output_size(size: Pair, window: dict[str, Any]) -> Pair:
    """Height and width after a window."""
    pads = window["pads"]
    lengths = [
        (size[axis] + pads[axis] + pads[axis + 2] - window["dilations"][axis] * (window["kernel"][axis] - 1) - 1)
        // window["strides"][axis]
        + 1
        for axis in range(2)
    ]
    return lengths[0], lengths[1]
