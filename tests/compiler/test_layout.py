# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.compiler.errors import UnsupportedModel
from systolith.compiler.ir import Graph, Node, Tensor
from systolith.compiler.layout import Layout, extents, plan_layouts, residual_of, round_up
from systolith.spec.arch import PRESETS
from tests.support.graph_builder import GraphBuilder

ARCH = PRESETS["8x8"]


def _view(graph: Graph, source: str, shape: tuple[int, ...]) -> Graph:
    """``graph`` with a view of one of its tensors."""
    tensors = {**graph.tensors, "view": Tensor("view", shape, graph.tensors[source].qparams)}
    return graph.with_(nodes=(*graph.nodes, Node("View", "flatten", (source,), ("view",))), tensors=tensors)


def _builder() -> GraphBuilder:
    return GraphBuilder(rng=np.random.default_rng(0))


def test_layout_attributes() -> None:
    layout = Layout(4, 5, 3, 8)
    assert (layout.row_pitch, layout.elements, layout.dense) == (40, 160, False)
    assert extents((1, 7)) == (1, 1, 7)
    assert extents((1, 7, 2, 3)) == (2, 3, 7)
    assert round_up(9, 4) == 12


def test_rows_may_have_a_gap_and_columns_may_be_the_lines() -> None:
    gap = Layout(4, 5, 8, 8, 48)
    assert (gap.row_len, gap.elements, gap.dense, gap.by_columns) == (40, 192, False, False)
    columns = Layout(4, 5, 3, 12, 3)
    assert (columns.elements, columns.dense, columns.by_columns) == (60, False, True)
    assert columns.transposed == Layout(5, 4, 3, 3)


def test_blocks_are_pixels_of_many_channels() -> None:
    layout = Layout(5, 7, 3, 18, block=(2, 3))
    assert (layout.row_pitch, layout.elements, layout.dense) == (54, 162, False)
    assert layout.blocks == Layout(3, 3, 18, 18)


def test_network_inputs_stay_dense_up_to_the_granule() -> None:
    builder = _builder()
    name = builder.input(3, 4, 4)
    graph = builder.graph("g", builder.conv(name))
    assert plan_layouts(graph, ARCH)[name].channel_pitch == 3
    assert plan_layouts(graph, ARCH.with_(act_granule=2))[name].channel_pitch == 4


def test_stored_tensors_and_residual_operands_have_whole_vectors() -> None:
    builder = _builder()
    x, other = builder.input(3, 4, 4), builder.input(9, 4, 4)
    output = builder.conv(x, residual=other)
    layouts = plan_layouts(builder.graph("g", output), ARCH)
    assert (layouts[x].channel_pitch, layouts[other].channel_pitch, layouts[output].channel_pitch) == (3, 16, 16)


def test_an_operand_behind_a_view_counts_as_residual() -> None:
    builder = _builder()
    graph = _view(builder.graph("g", builder.input(5, 1, 1)), "x0", (1, 5))
    node = Node("QAdd", "add", ("view", "view"), ("y",))
    graph = graph.with_(nodes=(*graph.nodes, node), tensors={**graph.tensors, "y": Tensor("y", (1, 5))})
    assert residual_of(node) == "view"
    assert plan_layouts(graph, ARCH)["x0"].channel_pitch == 8


def test_views_share_the_layout_or_reshape_dense_tensors() -> None:
    builder = _builder()
    graph = builder.graph("g", builder.input(1, 4, 6))
    layouts = plan_layouts(_view(graph, "x0", (1, 24)), ARCH)
    assert layouts["view"] == Layout(1, 1, 24, 24)
    padded = builder.requant(builder.input(3, 4, 1))
    layouts = plan_layouts(_view(builder.graph("g", padded), padded, (1, 3, 1, 4)), ARCH)
    assert layouts["view"] == Layout(1, 4, 3, 8)
    padded = builder.conv("x0", 3)
    layouts = plan_layouts(_view(builder.graph("g", padded), padded, builder.tensors[padded].shape), ARCH)
    assert layouts["view"] == layouts[padded]


def test_a_view_that_would_move_elements_is_refused() -> None:
    builder = _builder()
    x = builder.input(3, 4, 6)
    _, height, width = builder.map_size(padded := builder.conv(x, 3))
    graph = _view(builder.graph("g", padded), padded, (1, 3 * height * width))
    with pytest.raises(UnsupportedModel, match=r"'flatten' \(View\).*has 5 padding channels.*multiple of 8"):
        plan_layouts(graph, ARCH)
