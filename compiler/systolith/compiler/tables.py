# SPDX-License-Identifier: Apache-2.0
"""The tables of a program: which the engine must hold, and which one each layer looks up in; equal ones are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from systolith.spec import link
from systolith.spec.arch import MOST_TABLES, Arch, clog2
from systolith.spec.link import Space

from .errors import CapacityError
from .ir import Graph, Node
from .runtime import Words, pack_fields

__all__ = ["TableMemory", "place_tables"]


@dataclass(frozen=True)
class TableMemory:
    """The lines of the space TABLES as link words, and the number of each node's table (0 where it has none)."""

    words: Words
    slots: tuple[int, ...]


def place_tables(nodes: Sequence[Node], graph: Graph, arch: Arch) -> TableMemory:
    """Number the tables of ``nodes`` in the order of their first use.

    Raises:
        CapacityError: ``arch`` holds fewer.
    """
    known: dict[bytes, int] = {}
    slots: list[int] = []
    for node in nodes:
        entries = graph.constant(node.attributes["table"]).tobytes() if "table" in node.attributes else None
        slots.append(0 if entries is None else known.setdefault(entries, len(known)))
    if len(known) > arch.tables:
        raise _too_many(nodes, slots, len(known), arch)
    tables = [np.frombuffer(entries, dtype=np.int64)[:, None] for entries in known]
    none = np.zeros((0, link.line_words(Space.TABLES, arch)), dtype=np.uint32)
    return TableMemory(np.concatenate([none, *(pack_fields([(one, arch.act_bits)]) for one in tables)]), tuple(slots))


def _too_many(nodes: Sequence[Node], slots: Sequence[int], needed: int, arch: Arch) -> CapacityError:
    first = nodes[slots.index(arch.tables)]
    more = f"tables={1 << clog2(needed)}, or " if needed <= MOST_TABLES else ""
    return CapacityError(
        f"tables: {needed} different ones are needed, arch {arch.name!r} holds {arch.tables}, {needed - arch.tables} "
        f"too many; the first of these is node {first.name!r}'s; what helps: {more}activations that are "
        "bounds (Relu, Clip)"
    )
