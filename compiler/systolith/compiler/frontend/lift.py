# SPDX-License-Identifier: Apache-2.0
"""One-dimensional windows as two-dimensional ones of height 1.

Before: Conv, ConvTranspose, MaxPool, AveragePool and the global pools on (N, C, L).
After: Reshape to (N, C, 1, L), the operator, Reshape back. Weights (O, C, k) become (O, C, 1, k).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..ir import Node
from .raw import Expansion, RawNode

__all__ = ["Rule", "on_images"]

Rule = Callable[[RawNode], Node | Expansion]

_NEUTRAL = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1}
"""Attributes with an entry per axis, and what a row axis of one element gets."""


def on_images(rule: Rule) -> Rule:
    """A rule for (N, C, H, W) that takes (N, C, L) too."""

    def lifted(raw: RawNode) -> Node | Expansion:
        return _lifted(raw, rule) if len(raw.shape(raw.inputs[0])) == 3 else rule(raw)

    return lifted


def _image(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:2], 1, *shape[2:])


def _attributes(raw: RawNode) -> dict[str, Any]:
    given = dict(raw.attributes)
    for key, neutral in _NEUTRAL.items():
        if given.get(key):
            given[key] = [neutral, *given[key]]
    if len(given.get("pads", ())) == 2:
        given["pads"] = [0, given["pads"][0], 0, given["pads"][1]]
    return given


def _lifted(raw: RawNode, rule: Rule) -> Expansion:
    """The operator between two reshapes; a constant weight is reshaped at once."""
    result = raw.outputs[0]
    operands = {name: f"{result}:{role}" for name, role in zip(raw.inputs[:2], ("image", "kernel"), strict=False)}
    shapes = {new: _image(raw.shape(old)) for old, new in operands.items()}
    wide = f"{result}:wide"
    shapes[wide] = _image(raw.shape(result))
    constants = {new: raw.constants[old].reshape(shapes[new]) for old, new in operands.items() if old in raw.constants}
    image = replace(
        raw,
        inputs=tuple(operands.get(name, name) for name in raw.inputs),
        outputs=(wide, *raw.outputs[1:]),
        attributes=_attributes(raw),
        shapes={**raw.shapes, **shapes},
        constants={**raw.constants, **constants},
    )
    inner = rule(image)
    inner = inner if isinstance(inner, Expansion) else Expansion((inner,))
    before = [_reshape(raw, old, new, shapes[new]) for old, new in operands.items() if old not in raw.constants]
    after = _reshape(raw, wide, result, raw.shape(result))
    nodes = (*before, *inner.nodes, after)
    return Expansion(nodes, {**shapes, **inner.shapes}, {**constants, **inner.constants})


def _reshape(raw: RawNode, source: str, result: str, shape: tuple[int, ...]) -> Node:
    return Node("Reshape", f"{raw.name}:{result}", (source,), (result,), {"shape": shape}, (raw.op,))
