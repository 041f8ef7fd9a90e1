# SPDX-License-Identifier: Apache-2.0
"""The back end: an integer-level graph and an architecture to a program."""

from __future__ import annotations

from collections.abc import Mapping

from systolith.spec.arch import PRESETS, Arch
from systolith.spec.image import Program
from systolith.spec.isa import Op

from .allocate import allocate
from .choose import choose_layouts
from .depthwise import plan_depthwise
from .emit import emit
from .errors import CapacityError, QuantisationError, UnsupportedModel
from .exchange import plan_exchange
from .homes import find_homes
from .ir import Graph, Node, QParams
from .layout import Layout, plan_layouts, residual_of
from .matmul import plan_matmul
from .matrix import plan_matrix
from .movement import plan_movement
from .plan import Context, LayerPlan
from .vector import plan_vector

__all__ = ["lower", "lower_as"]


def _check_bits(what: str, qparams: QParams | None, arch: Arch) -> None:
    bits = qparams.bits if qparams is not None else None
    if bits != arch.act_bits:
        raise QuantisationError(
            f"{what} has {bits} bits, arch {arch.name!r} computes with {arch.act_bits}; quantise to {arch.act_bits} "
            f"bits or take an arch with act_bits={bits}"
        )


def _check_tensors(graph: Graph, arch: Arch) -> None:
    for tensor in graph.tensors.values():
        if tensor.shape[0] != 1 or len(tensor.shape) not in (2, 3, 4):
            raise UnsupportedModel(
                node=tensor.name,
                op="tensor",
                problem=f"shape {tensor.shape}",
                accepted="(1, C), (1, C, L) and (1, C, H, W)",
            )
        _check_bits(f"tensor {tensor.name!r}", tensor.qparams, arch)
    for node in graph.nodes:
        if "inner" in node.attributes:
            _check_bits(f"what node {node.name!r} looks up in its table", node.attributes["inner"], arch)


def _check_node(node: Node, arch: Arch, *, vector: bool) -> None:
    """Refuse what the engine lacks; ``vector``: the node runs on the vector unit."""
    if "table" in node.attributes and not arch.tables:
        raise UnsupportedModel(
            node=node.name,
            op=node.origin[-1] if node.origin else node.op,
            problem=f"it needs a table of function values, arch {arch.name!r} has none",
            accepted="an arch with tables (tables=8), or activations that are bounds (Relu, Clip)",
            advice=f"presets with tables: {', '.join(preset.name for preset in PRESETS.values() if preset.tables)}",
        )
    missing = "pool" if vector and not arch.pool else None
    if residual_of(node) is not None and not arch.residual:
        missing = "residual"
    if missing is not None:
        raise UnsupportedModel(
            node=node.name,
            op=node.op,
            problem=f"arch {arch.name!r} was built without {missing!r}",
            accepted=f"{missing}=true",
        )


_ARRAY_PLANS = {"QMatMul": plan_matmul, "QTranspose": plan_exchange}
"""What makes descriptors of nodes that run on the array, convolutions apart."""


def _plan(node: Node, ctx: Context) -> LayerPlan:
    if node.op == "QMove":
        plan = plan_movement(node, ctx)
        _check_node(node, ctx.arch, vector=any(step.descriptor.op == Op.VECTOR for step in plan.steps))
        return plan
    if node.op in _ARRAY_PLANS:
        _check_node(node, ctx.arch, vector=False)
        return _ARRAY_PLANS[node.op](node, ctx)
    _check_node(node, ctx.arch, vector=node.op != "QConv")
    if node.op != "QConv":
        return plan_vector(node, ctx)
    return plan_depthwise(node, ctx) or plan_matrix(node, ctx)


def lower(graph: Graph, arch: Arch) -> Program:
    """Lay out, place, tile and emit.

    ``graph`` is at the integer level (see :mod:`systolith.compiler.ir`), batch 1.

    Raises:
        UnsupportedModel: a node needs something the engine or its architecture lacks.
        QuantisationError: a number does not fit the architecture's widths.
        CapacityError: a memory is too small.
    """
    _check_tensors(graph, arch)
    plain = plan_layouts(graph, arch)
    try:
        return lower_as(graph, arch, find_homes(graph, choose_layouts(graph, arch), arch))
    except CapacityError:
        # packing can cost weights and padding: what does not fit packed may fit plain, and without homes
        for layouts in (find_homes(graph, plain, arch), plain):
            try:
                return lower_as(graph, arch, layouts)
            except CapacityError as error:
                refusal = error
        raise refusal from None


def lower_as(graph: Graph, arch: Arch, layouts: Mapping[str, Layout]) -> Program:
    """Place, tile and emit with given layouts; raises like :func:`lower`."""
    placement = allocate(graph, layouts, arch)
    ctx = Context(graph, arch, layouts, placement.bases)
    plans = [_plan(node, ctx) for node in graph.nodes if node.op != "View"]
    # data movement that has nothing to move is no layer
    plans = [plan for plan in plans if plan.steps]
    return emit(ctx, plans, placement)
