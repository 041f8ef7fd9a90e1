# SPDX-License-Identifier: Apache-2.0
"""How one axis of a depthwise convolution is walked by rasters: what is read, what is masked, how far output lags.

The depthwise feed looks at the last ``slots`` places of a raster's axis. A kernel that is longer is cut into groups of
``slots`` taps, a pass each. All passes walk rasters of one length; where an output's taps leave the raster, the places
there belong to the row or the pass before or after, and the tap has to be masked. A raster that is as long as the
outputs and the slots need no mask at all; the shortest legal one is found by trying.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Axis", "AxisPlan", "plan_axis"]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis of a convolution, or of a tile of it. All sizes are in pixels."""

    size: int
    """Of the input."""
    kernel: int
    stride: int
    pad: int
    """Before the first pixel."""
    first: int
    """First output of the tile."""
    outputs: int
    """Outputs of the tile."""

    @property
    def last(self) -> int:
        """The last output, in input pixels behind the first."""
        return (self.outputs - 1) * self.stride

    @property
    def origin(self) -> int:
        """The input pixel of the first tap of the first output."""
        return self.first * self.stride - self.pad


@dataclass(frozen=True, kw_only=True)
class AxisPlan:
    """A raster's axis.

    Slot ``s`` of group ``g`` holds tap ``taps[g][s]``, or none (-1). Group ``g`` starts at input pixel ``starts[g]``.
    """

    length: int
    """Pixels of a raster along the axis."""
    step: int
    """Input pixels between neighbouring places of the raster."""
    lag: int
    """Places by which outputs come later than the place of their number."""
    last: int
    """Place of the last output."""
    skip: int
    """Places between two outputs."""
    starts: tuple[int, ...]
    taps: tuple[tuple[int, ...], ...]
    masks: int
    """Masked slots: ``slots`` bits each for place 0, place 1, the last but one and the last."""

    @property
    def groups(self) -> int:
        """Passes along the axis."""
        return len(self.starts)


def _alignments(kernel: int, slots: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Kernels cut into groups of ``slots``, the incomplete group first or last; slots without a tap are -1.

    The newest slot of each group must be ``slots`` taps further than that of the group before.
    """
    groups = -(-kernel // slots)
    for first in (slots - 1, kernel - 1 - (groups - 1) * slots):
        newest = [min(first + group * slots, kernel - 1) for group in range(groups)]
        if len({after - before for before, after in zip(newest, newest[1:], strict=False)}) > 1:
            continue
        below = [-1, *newest[:-1]]
        yield tuple(
            tuple(tap if tap > before else -1 for tap in range(last - slots + 1, last + 1))
            for before, last in zip(below, newest, strict=True)
        )


def _masks(axis: Axis, taps: tuple[tuple[int, ...], ...], length: int, lag: int) -> int | None:
    """The mask table that makes a raster of ``length`` legal; None if there is none."""
    slots = len(taps[0])
    needed, forbidden = set(), set()
    for output in range(0, axis.last + 1, axis.stride):
        for group in taps:
            for slot, tap in enumerate(group):
                if tap < 0:
                    continue
                here = 0 <= output + lag - (slots - 1 - slot) < length
                inside = 0 <= axis.origin + output + tap < axis.size
                if inside and not here:
                    return None
                if inside:
                    forbidden.add((output, slot))
                elif not here:
                    needed.add((output, slot))
    # the places at which the feed can mask; where two coincide, both tables say the same
    places = (0, 1, axis.last - 1, axis.last)
    legal = not needed & forbidden and all(output in places for output, _ in needed)
    bits = [place * slots + slot for place, at in enumerate(places) for slot in range(slots) if (at, slot) in needed]
    return sum(1 << bit for bit in bits) if legal else None


def plan_axis(axis: Axis, slots: int, *, masked: bool = True) -> AxisPlan:
    """The shortest raster for an axis where the feed looks at ``slots`` places.

    Args:
        axis: the axis.
        slots: places that meet in a pass.
        masked: False if taps cannot be masked.
    """
    if slots == 1:
        return _single(axis)
    for length in range(axis.last + 1, axis.last + slots):
        for taps in _alignments(axis.kernel, slots):
            for lag in range(slots):
                table = _masks(axis, taps, length, lag)
                if table is not None and (masked or not table):
                    return _plan(axis, taps, length, lag, table)
    taps = next(_alignments(axis.kernel, slots))
    return _plan(axis, taps, axis.last + slots, slots - 1, 0)


def _plan(axis: Axis, taps: tuple[tuple[int, ...], ...], length: int, lag: int, masks: int) -> AxisPlan:
    return AxisPlan(
        length=length,
        step=1,
        lag=lag,
        last=axis.last,
        skip=axis.stride - 1,
        starts=tuple(axis.origin + group[-1] - lag for group in taps),
        taps=taps,
        masks=masks,
    )


def _single(axis: Axis) -> AxisPlan:
    """One tap a pass: the raster visits what the outputs need, and nothing reaches beyond it."""
    return AxisPlan(
        length=axis.outputs,
        step=axis.stride,
        lag=0,
        last=axis.outputs - 1,
        skip=0,
        starts=tuple(axis.origin + tap for tap in range(axis.kernel)),
        taps=tuple((tap,) for tap in range(axis.kernel)),
        masks=0,
    )
