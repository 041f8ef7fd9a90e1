# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.ir import QParams, Tensor
from systolith.compiler.plan import Context
from systolith.spec.arch import PRESETS
from tests.support.graph_builder import GraphBuilder


def test_context_knows_quantisation_or_says_that_there_is_none() -> None:
    builder = GraphBuilder(rng=np.random.default_rng(0))
    graph = builder.graph("g", builder.input(1, 1, 1))
    ctx = Context(graph, PRESETS["tiny"], {}, {})
    assert ctx.qparams("x0") == graph.tensors["x0"].qparams
    bare = Context(graph.with_(tensors={"x0": Tensor("x0", (1, 1))}), PRESETS["tiny"], {}, {})
    with pytest.raises(ValueError, match="tensor 'x0' has no quantisation"):
        bare.qparams("x0")


def test_a_result_is_what_a_table_is_looked_up_with() -> None:
    builder = GraphBuilder(rng=np.random.default_rng(0))
    x = builder.input(1, 1, 1)
    graph = builder.graph("g", builder.table(builder.requant(x)))
    ctx = Context(graph, PRESETS["tiny"], {}, {})
    requant, table = graph.nodes
    assert ctx.result(requant) == ctx.result(table) == graph.tensors[requant.outputs[0]].qparams
    inner = QParams(2.0, 7)
    assert ctx.result(replace(requant, attributes={**requant.attributes, "inner": inner})) == inner
