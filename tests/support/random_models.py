# SPDX-License-Identifier: Apache-2.0
"""Random float ONNX models for hypothesis: branches, sums, concatenation, shared weights, odd shapes, chains.

A model grows from a pool of tensors: each step applies an operator to one of them (preferably a late one) and adds its
result to the pool. What nothing reads at the end are the outputs. All choices are hypothesis', so that a failing model
shrinks; weights come from a seed, which shrinks too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

from .float_models import ModelBuilder

__all__ = ["RandomModel", "few", "models"]

Shape = tuple[int, ...]

_EXAMPLES = int(os.environ.get("SYSTOLITH_EXAMPLES", "0"))


def few(examples: int) -> hypothesis.settings:
    """Settings: the same few examples in every run; SYSTOLITH_EXAMPLES asks for another number of new ones."""
    return hypothesis.settings(
        max_examples=_EXAMPLES or examples,
        derandomize=not _EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


@dataclass
class RandomModel:
    """A model under construction, and in the end its outputs."""

    builder: ModelBuilder
    draw: Callable[[st.SearchStrategy[Any]], Any]
    pool: dict[str, Shape] = field(default_factory=dict)
    weights: dict[Shape, str] = field(default_factory=dict)
    read: set[str] = field(default_factory=set)

    @property
    def outputs(self) -> list[str]:
        """The tensors that nothing reads."""
        return [name for name in self.pool if name not in self.read and name != "input"]

    def number(self, low: int, high: int) -> int:
        """A whole number in ``low..high``; shrinks to ``low``."""
        return int(self.draw(st.integers(low, high)))

    def pick(self) -> str:
        """A tensor of the pool; the last one most often."""
        names = list(self.pool)
        return names[-1 - min(self.number(0, 3), len(names) - 1)]

    def add(self, op: str, *inputs: str, shape: Shape | None = None, **attributes: Any) -> str:
        """A node; its result has the first operand's shape unless given."""
        result = self.builder.add(op, *inputs, **attributes)
        self.read.update(inputs)
        self.pool[result] = shape or self.pool[inputs[0]]
        return result

    def weight(self, *shape: int) -> str:
        """Weights that spread a layer's result about as much as its input; the same as earlier ones, if so drawn."""
        if shape in self.weights and self.number(0, 1):
            return self.weights[shape]
        spread = 1 / math.sqrt(max(math.prod(shape[1:]), 1))
        self.weights[shape] = self.builder.constant(self.builder.rng.normal(0, spread, shape))
        return self.weights[shape]

    def per_channel(self, x: str) -> str:
        """A constant with one number for each channel, or one for all."""
        shape = self.pool[x]
        ones = (1,) * (len(shape) - 2)
        size = () if self.number(0, 2) == 0 else (shape[1], *ones)
        return self.builder.constant(self.builder.rng.uniform(0.3, 2, size) * self.builder.rng.choice([-1, 1]))


def _conv(m: RandomModel, x: str) -> None:
    _, channels, height, width = m.pool[x]
    kernel = [m.number(1, min(3, size)) for size in (height, width)]
    strides = [m.number(1, 2) for _ in kernel]
    pads = [m.number(0, k - 1) for k in (*kernel, *kernel)]
    divisors = [d for d in range(1, channels + 1) if channels % d == 0]
    group = divisors[m.number(0, len(divisors) - 1)]
    outputs = group * m.number(1, max(1, 6 // group))
    size = [
        (length + pads[axis] + pads[axis + 2] - kernel[axis]) // strides[axis] + 1
        for axis, length in enumerate((height, width))
    ]
    operands = [x, m.weight(outputs, channels // group, *kernel)]
    if m.number(0, 1):
        operands.append(m.builder.weights(outputs))
    m.add("Conv", *operands, shape=(1, outputs, *size), strides=strides, pads=pads, group=group)


def _pool(m: RandomModel, x: str) -> None:
    _, channels, height, width = m.pool[x]
    kernel = [m.number(1, min(3, size)) for size in (height, width)]
    strides = [m.number(1, 2) for _ in kernel]
    size = [(length - kernel[axis]) // strides[axis] + 1 for axis, length in enumerate((height, width))]
    op = ("MaxPool", "AveragePool")[m.number(0, 1)]
    m.add(op, x, shape=(1, channels, *size), kernel_shape=kernel, strides=strides)


def _scale(m: RandomModel, x: str) -> None:
    op = ("Mul", "Add", "Sub", "Div")[m.number(0, 3)]
    constant = m.per_channel(x)
    if op != "Div" and m.number(0, 1):
        result = m.builder.add(op, constant, x)
        m.read.add(x)
        m.pool[result] = m.pool[x]
    else:
        m.add(op, x, constant)


def _norm(m: RandomModel, x: str) -> None:
    channels, rng = m.pool[x][1], m.builder.rng
    statistics = [rng.uniform(0.5, 2, channels), *rng.normal(0, 0.5, (2, channels)), rng.uniform(0.5, 2, channels)]
    m.add("BatchNormalization", x, *map(m.builder.constant, statistics))


def _bound(m: RandomModel, x: str) -> None:
    kind = m.number(0, 3)
    if kind == 0:
        m.add("Relu", x)
    elif kind == 1:
        m.add("Clip", x, m.builder.constant(-0.5), m.builder.constant(1.5))
    else:
        m.add(("Max", "Min")[kind - 2], x, m.builder.constant(0.25))


def _slope(m: RandomModel, x: str) -> None:
    kind = m.number(0, 3)
    if kind == 0:
        m.add("LeakyRelu", x, alpha=0.1)
    elif kind == 1:
        m.add("PRelu", x, m.per_channel(x))
    elif kind == 2:
        m.add("HardSigmoid", x)
    else:
        m.add("Neg", x)


def _join(m: RandomModel, x: str) -> None:
    """Two tensors of one shape, or one that is broadcast over the other's pixels or channels."""
    shape = m.pool[x]
    others = [name for name, other in m.pool.items() if other == shape]
    other, kind = others[m.number(0, len(others) - 1)], m.number(0, 3)
    if kind == 0 and len(shape) == 4:
        other = m.add("GlobalAveragePool", other, shape=(1, shape[1], 1, 1))
    elif kind == 1 and len(shape) == 4:
        other = m.add("Conv", other, m.weight(1, shape[1], 1, 1), shape=(1, 1, *shape[2:]))
    m.add(("Add", "Sub", "Mul")[m.number(0, 2)], x, other)


def _concat(m: RandomModel, x: str) -> None:
    shape = m.pool[x]
    others = [name for name, other in m.pool.items() if other[2:] == shape[2:] and len(other) == len(shape)]
    other = others[m.number(0, len(others) - 1)]
    if shape[1] + m.pool[other][1] <= 12:
        m.add("Concat", x, other, shape=(1, shape[1] + m.pool[other][1], *shape[2:]), axis=1)


def _transposed(m: RandomModel, x: str) -> None:
    _, channels, height, width = m.pool[x]
    if max(height, width) > 8:
        return
    kernel, strides = [m.number(1, 3) for _ in range(2)], [m.number(1, 2) for _ in range(2)]
    outputs = m.number(1, 4)
    size = [(length - 1) * stride + k for length, stride, k in zip((height, width), strides, kernel, strict=True)]
    m.add("ConvTranspose", x, m.weight(channels, outputs, *kernel), shape=(1, outputs, *size), strides=strides)


def _curve(m: RandomModel, x: str) -> None:
    kind = m.number(0, 7)
    if kind == 0:
        m.add("Mul", x, m.add("Sigmoid", x))
    elif kind == 1:
        gate = m.add("Clip", m.add("Add", x, m.builder.constant(3.0)), m.builder.constant(0.0), m.builder.constant(6.0))
        m.add("Div", m.add("Mul", x, gate), m.builder.constant(6.0))
    elif kind == 2:
        curve = m.add("Add", m.add("Erf", m.add("Div", x, m.builder.constant(2**0.5))), m.builder.constant(1.0))
        m.add("Mul", m.add("Mul", x, curve), m.builder.constant(0.5))
    else:
        m.add(("Sigmoid", "Tanh", "HardSwish", "Elu", "Abs")[kind - 3], x)


def _dense(m: RandomModel, x: str) -> None:
    shape = m.pool[x]
    size = int(np.prod(shape[1:]))
    outputs = m.number(1, 6)
    flat = x if len(shape) == 2 else m.add("Flatten", x, shape=(1, size))
    m.add("Gemm", flat, m.weight(size, outputs), m.builder.weights(outputs), shape=(1, outputs))


_IMAGE = (_conv, _conv, _pool, _scale, _norm, _bound, _slope, _join, _concat, _transposed)
_VECTOR = (_dense, _scale, _bound, _slope, _join)


@st.composite
def models(draw: Callable[[st.SearchStrategy[Any]], Any], *, steps: int = 7) -> RandomModel:
    """A model of three to ``steps`` steps on an input of odd shape."""
    shape = (1, *(draw(st.integers(1, most)) for most in (5, 7, 7)))
    m = RandomModel(ModelBuilder(shape, seed=draw(st.integers(0, 99))), draw, {"input": shape})
    for _ in range(m.number(3, steps)):
        x = m.pick()
        makers = [*(_IMAGE if len(m.pool[x]) == 4 else _VECTOR), _curve]
        makers[m.number(0, len(makers) - 1)](m, x)
    if len(m.pool[m.outputs[-1]]) == 4 and m.number(0, 1):
        _dense(m, m.outputs[-1])
    return m
