# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from systolith.compiler.errors import InputFileError
from systolith.compiler.graph_file import load_graph, save_graph
from systolith.compiler.interp_int import run_integer
from systolith.compiler.ir import Graph
from systolith.compiler.passes.fuse_table import fuse_table
from systolith.compiler.verify import verify
from tests.support.graph_builder import Limits
from tests.support.random_graphs import random_feeds, random_move_graph, random_network


@pytest.mark.parametrize("make", [random_network, random_move_graph])
@pytest.mark.parametrize("seed", range(4))
def test_a_graph_computes_the_same_after_a_file(
    seed: int, make: Callable[[int, Limits], Graph], tmp_path: Path
) -> None:
    graph, file = fuse_table(make(seed, Limits(tables=True))), tmp_path / "network.npz"
    graph = graph.with_(host_tail={graph.outputs[0]: ("Softmax", "ArgMax(axis=1, keepdims=0, select_last_index=0)")})
    save_graph(graph, file)
    loaded = load_graph(file)
    verify(loaded)
    assert (loaded.inputs, loaded.outputs, loaded.tensors) == (graph.inputs, graph.outputs, graph.tensors)
    assert loaded.host_tail == graph.host_tail
    feeds = random_feeds(graph, seed)
    expected, got = run_integer(graph, feeds), run_integer(loaded, feeds)
    assert all(np.array_equal(got[name], expected[name]) for name in expected)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "network.npz"
    save_graph(random_network(0), file)
    data = file.read_bytes()
    for damaged in (b"", b"text", data[: len(data) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(InputFileError, match="network.npz: not a network file of a build folder"):
            load_graph(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="none.npz: not a network file"):
        load_graph(tmp_path / "none.npz")
