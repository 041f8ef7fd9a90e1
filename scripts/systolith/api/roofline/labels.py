# SPDX-License-Identifier: Apache-2.0
"""Puts labels beside points so that none covers another: points that lie together share one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Box", "Label", "Spot", "place_labels", "runs"]

_NEAR = 11.0
"""Points closer than so many pixels share a label."""
_CHARACTER, _HEIGHT = 6.6, 13.0
"""Pixels of a character, and of a line."""
_PARTS = 4
"""Numbers and ranges that a label spells out."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two overlap."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def inside(self, other: Box) -> bool:
        """Whether it lies wholly in the other."""
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


@dataclass(frozen=True)
class Spot:
    """A numbered point of some radius."""

    number: int
    x: float
    y: float
    radius: float

    @property
    def box(self) -> Box:
        """What it covers."""
        return Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


@dataclass(frozen=True)
class Label:
    """A text with its middle, and the point that a line leads to."""

    text: str
    x: float
    y: float
    to_x: float
    to_y: float

    @property
    def box(self) -> Box:
        """What it covers."""
        half = len(self.text) * _CHARACTER / 2 + 2
        return Box(self.x - half, self.y - _HEIGHT / 2, self.x + half, self.y + _HEIGHT / 2)

    @property
    def edge(self) -> tuple[float, float]:
        """Where its line ends: the place of its rim that is nearest to the point."""
        box = self.box
        return min(max(self.to_x, box.left), box.right), min(max(self.to_y, box.top), box.bottom)


def runs(numbers: Sequence[int]) -> str:
    """Numbers with neighbours joined, as ``1, 3–5``; of many only the first and the last, and how many they are."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    if len(parts) > _PARTS:
        return f"{parts[0][0]} … {parts[-1][-1]} ({len(numbers)} layers)"
    return ", ".join(_run(part) for part in parts)


def _run(part: list[int]) -> str:
    if len(part) < 3:
        return ", ".join(map(str, part))
    return f"{part[0]}–{part[-1]}"


def _groups(spots: Sequence[Spot]) -> list[list[Spot]]:
    groups: list[list[Spot]] = []
    for spot in spots:
        near = (group for group in groups if abs(group[0].x - spot.x) + abs(group[0].y - spot.y) < _NEAR)
        group = next(near, None)
        if group is None:
            groups.append([spot])
        else:
            group.append(spot)
    return groups


def _candidates(group: Sequence[Spot]) -> Iterator[Label]:
    """Below, above, beside, at growing distance."""
    text, first = runs([spot.number for spot in group]), group[0]
    half, radius = len(text) * _CHARACTER / 2, max(spot.radius for spot in group)
    for distance in range(6, 150, 8):
        up, beside = radius + distance + 4, radius + distance + half
        for right, down in ((0, up), (0, -up), (beside, 0), (-beside, 0), (beside, up), (-beside, up)):
            yield Label(text, first.x + right, first.y + down, first.x, first.y)


def place_labels(spots: Sequence[Spot], frame: Box, blocked: Sequence[Box] = ()) -> list[Label]:
    """A label for each group of points.

    Args:
        spots: the points.
        frame: what labels have to stay inside.
        blocked: what they must not cover, besides all points and each other; where no place is left they do.
    """
    placed: list[Label] = []
    for group in _groups(spots):
        taken = [*blocked, *(spot.box for spot in spots), *(label.box for label in placed)]
        tried = list(_candidates(group))
        free = (one for one in tried if one.box.inside(frame) and not any(one.box.meets(box) for box in taken))
        placed.append(next(free, tried[0]))
    return placed
