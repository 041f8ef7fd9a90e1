# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.errors import CapacityError
from systolith.compiler.ir import Graph, Node
from systolith.compiler.tables import place_tables
from systolith.spec.arch import PRESETS
from tests.support.graph_builder import GraphBuilder

ARCH = PRESETS["tiny"]


def _graph(entries: list[int]) -> Graph:
    """A node for each of ``entries``: a table full of that entry; None for a node without."""
    builder = GraphBuilder(rng=np.random.default_rng(0))
    name = builder.input(1, 1, 1)
    constants = {f"t{index}": np.full(256, entry, dtype=np.int64) for index, entry in enumerate(entries)}
    nodes = [Node("QTable", f"n{index}", (name,), (name,), {"table": f"t{index}"}) for index in range(len(entries))]
    return builder.graph("g", name).with_(constants=constants, nodes=tuple(nodes))


def test_equal_tables_share_a_slot() -> None:
    graph = _graph([5, -3, 5])
    plain = Node("QRequant", "plain", (), ())
    placed = place_tables([plain, *graph.nodes], graph, ARCH)
    assert placed.slots == (0, 0, 1, 0)
    assert placed.words.tolist() == [[5]] * 256 + [[253]] * 256


def test_a_program_without_tables_has_no_lines() -> None:
    graph = _graph([])
    assert place_tables([], graph, ARCH.with_(tables=0)).words.shape == (0, 1)


def test_more_tables_than_the_engine_holds_are_refused() -> None:
    graph = _graph([1, 2, 1, 3, 4, 5])
    message = (
        "tables: 5 different ones are needed, arch 'tiny' holds 2, 3 too many; the first of these is node 'n3''s; what "
        "helps: tables=8, or activations that are bounds"
    )
    with pytest.raises(CapacityError, match=message):
        place_tables(graph.nodes, graph, ARCH)


def test_more_tables_than_any_engine_holds() -> None:
    entries = [[first, second] for first in range(17) for second in range(16)]
    graph = _graph([entry[0] for entry in entries])
    constants = {f"t{index}": np.resize(entry, 256) for index, entry in enumerate(entries)}
    with pytest.raises(
        CapacityError, match=r"272 different ones are needed, .* what helps: activations that are bounds"
    ):
        place_tables(graph.nodes, graph.with_(constants=constants), ARCH)
