# SPDX-License-Identifier: Apache-2.0
"""From differing counters to the layer and the cause at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from systolith.spec.image import Program
from systolith.spec.link import Counter
from systolith.testbench.localise import find_layer

__all__ = ["CounterPlace", "locate_cycles"]

Counts = Mapping[Counter, int]


@dataclass(frozen=True, kw_only=True)
class CounterPlace:
    """The first descriptor, and of it the first cause, in which a run took other cycles than it should."""

    layer: str
    """The layer's ONNX node; empty if no layer has the descriptor."""
    tile: int
    """Descriptor within the layer, from 0."""
    descriptor: int
    """Descriptor within the program, from 0."""
    counter: Counter
    expected: int
    got: int

    def __str__(self) -> str:
        """One line for people."""
        where = f"layer {self.layer!r}, tile {self.tile} (descriptor {self.descriptor})"
        return f"{where}: counter {self.counter.name} is {self.got}, the cycle model says {self.expected}"


def _differing(expected: Counts, got: Counts) -> Counter | None:
    """The first cause that differs; the sums are named only if no cause is."""
    sums = (Counter.WORK, Counter.CYCLES)
    order = [counter for counter in Counter if counter not in sums]
    return next((counter for counter in (*order, *sums) if expected[counter] != got[counter]), None)


def locate_cycles(program: Program, expected: Sequence[Counts], got: Sequence[Counts]) -> CounterPlace | None:
    """The first difference of two runs' counters by descriptor; None if all are equal.

    Raises:
        ValueError: they are not of equally many descriptors.
    """
    if len(expected) != len(got):
        raise ValueError(f"expected the counters of {len(expected)} descriptors, got {len(got)}")
    for index, (predicted, counted) in enumerate(zip(expected, got, strict=True)):
        counter = _differing(predicted, counted)
        if counter is not None:
            layer = find_layer(program, index)
            return CounterPlace(
                layer=layer.name if layer else "",
                tile=index - layer.first if layer else index,
                descriptor=index,
                counter=counter,
                expected=predicted[counter],
                got=counted[counter],
            )
    return None
