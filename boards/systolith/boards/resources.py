# SPDX-License-Identifier: Apache-2.0
"""Cells by kind and by block of the engine, from the statistics of a synthesis that keeps the modules apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from systolith.hdl.outline import PREFIX

__all__ = ["KINDS", "block_use", "total_use"]

KINDS: dict[str, dict[str, int]] = {
    "lut": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 4, "SB_LUT4": 1},
    "ff": {"TRELLIS_FF": 1, "SB_DFF": 1},
    "dsp": {"MULT18X18D": 1, "SB_MAC16": 1},
    "bram": {"DP16KD": 1, "PDPW16KD": 1, "SB_RAM40_4K": 1},
    "spram": {"SB_SPRAM256KA": 1},
}
"""Primitives, by the first part of their names, and how many each is: a carry cell has two LUTs, a small memory lies in
four. An iCE40 has its carry chain beside the LUTs."""

_CONTAINERS = ("engine", "compute", "matrix", "retire")
"""Modules whose parts are blocks of their own; the rest of a container is a block, too."""

_PARTS = ("ram", "line_memory", "deep_memory", "skew", "walker", "products", "multiplier", "nest")
"""Modules that belong to the block around them."""

_FLIP_FLOPS = "SB_DFF"

Use = dict[str, int]


def _kind(name: str) -> tuple[str, int] | None:
    """A primitive's kind and number."""
    for kind, primitives in KINDS.items():
        for primitive, number in primitives.items():
            if name == primitive or (primitive in (_FLIP_FLOPS, "SB_RAM40_4K") and name.startswith(primitive)):
                return kind, number
    return None


def _block(module: str) -> str:
    """A module's name without prefix, parameters and number."""
    base = module.lstrip("\\").removeprefix("$paramod\\").split("\\")[0]
    short = base[base.find(PREFIX) + len(PREFIX) :] if PREFIX in base else base
    head, _, tail = short.rpartition("_")
    return head if tail.isdigit() else short


class _Modules:
    """Yosys's ``stat -json``, by module."""

    def __init__(self, statistics: Mapping[str, Any]) -> None:
        self._cells = {
            name.lstrip("\\"): {kind.lstrip("\\"): count for kind, count in entry["num_cells_by_type"].items()}
            for name, entry in statistics["modules"].items()
        }

    def children(self, module: str) -> dict[str, int]:
        return {name: count for name, count in self._cells[module].items() if name in self._cells}

    def own(self, module: str) -> Counter[str]:
        """Primitives right in a module."""
        use: Counter[str] = Counter()
        for name, count in self._cells[module].items():
            if name not in self._cells and (found := _kind(name)):
                use[found[0]] += found[1] * count
        return use

    def whole(self, module: str) -> Counter[str]:
        """With all that it contains."""
        use = self.own(module)
        for child, count in self.children(module).items():
            for kind, number in self.whole(child).items():
                use[kind] += number * count
        return use

    def collect(self, module: str, blocks: dict[str, Counter[str]]) -> None:
        """Sort a container's cells into blocks."""
        mine = blocks.setdefault(_block(module), Counter())
        mine.update(self.own(module))
        for child, count in self.children(module).items():
            name = _block(child)
            if name in _CONTAINERS:
                self.collect(child, blocks)
                continue
            target = mine if name in _PARTS else blocks.setdefault(name, Counter())
            for kind, number in self.whole(child).items():
                target[kind] += number * count


def _plain(use: Counter[str]) -> Use:
    return {kind: use[kind] for kind in KINDS}


def block_use(statistics: Mapping[str, Any], top: str) -> dict[str, Use]:
    """Cells of each block of the engine in the module ``top``, blocks without any left out."""
    modules = _Modules(statistics)
    blocks: dict[str, Counter[str]] = {}
    for child in modules.children(top):
        modules.collect(child, blocks)
    return {name: _plain(use) for name, use in sorted(blocks.items()) if any(use.values())}


def total_use(blocks: Mapping[str, Use]) -> Use:
    """The sum over the blocks."""
    return {kind: sum(use[kind] for use in blocks.values()) for kind in KINDS}
