# SPDX-License-Identifier: Apache-2.0
"""Where the slots of the multipliers went: the one definition of the classes that every report uses."""

from __future__ import annotations

from collections.abc import Mapping

from systolith.spec.arch import Arch
from systolith.spec.link import Counter

__all__ = ["CAUSES", "attribution", "class_of", "class_title", "named"]

CAUSES: Mapping[str, tuple[str, tuple[Counter, ...]]] = {
    "useful": ("MACs of the network", ()),
    "idle": ("padding of rows, columns and channels", ()),
    "weight_load": ("waiting for weights", (Counter.WEIGHTS,)),
    "memory_stall": ("waiting for the activation memory", (Counter.MEMORY,)),
    "drain": ("waiting for the lanes, results on their way", (Counter.DRAIN, Counter.LANES)),
    "non_matrix": ("vector unit, reading descriptors", (Counter.VECTOR, Counter.CONTROL)),
}
"""By class: what it means, and the counters whose whole cycles it takes. ``useful`` and ``idle`` share the cycles of
ACTIVE, in which the array got a window, by the useful MACs of WORK."""

_NOT_CAUSES = (Counter.CYCLES, Counter.ACTIVE, Counter.WORK)


def class_of(counter: Counter) -> str:
    """The class that a counter's cycles belong to; a counter that none lists is a class of its own name."""
    return next((name for name, (_, members) in CAUSES.items() if counter in members), counter.name.lower())


def class_title(name: str) -> str:
    """What a class means, in a few words."""
    return CAUSES[name][0] if name in CAUSES else name.replace("_", " ")


def attribution(counters: Mapping[Counter, int], arch: Arch) -> dict[str, float]:
    """Shares of the run's MAC slots (R x C x cycles), each slot in one class of :data:`CAUSES`; they sum to 1."""
    cycles = max(1, counters[Counter.CYCLES])
    shares = dict.fromkeys(CAUSES, 0.0)
    shares["useful"] = counters[Counter.WORK] / (arch.rows * arch.cols * cycles)
    shares["idle"] = counters[Counter.ACTIVE] / cycles - shares["useful"]
    for counter in Counter:
        if counter not in _NOT_CAUSES:
            name = class_of(counter)
            shares[name] = shares.get(name, 0.0) + counters[counter] / cycles
    return shares


def named(counters: Mapping[Counter, int]) -> dict[str, int]:
    """Counters by name, for JSON."""
    return {counter.name.lower(): counters[counter] for counter in Counter}
