# SPDX-License-Identifier: Apache-2.0
"""The float level's passes in their order: what a network goes through between import and quantisation."""

from __future__ import annotations

from collections.abc import Callable

from ..ir import Graph
from ..verify import verify
from .drop_identities import drop_identities
from .fold_affine import fold_affine
from .fold_affine_forward import fold_affine_forward
from .fuse_activation import fuse_activation
from .fuse_chain import fuse_chain
from .fuse_pad import fuse_pad
from .merge_common import merge_common
from .normalise_gemm import normalise_gemm
from .orient_products import orient_products
from .remove_dead_code import remove_dead_code
from .remove_transposes import remove_transposes
from .sink_reshapes import sink_reshapes
from .spell_out import spell_out
from .spell_products import spell_products
from .split_tail import split_tail

__all__ = ["FLOAT_PASSES", "prepare_float"]

FLOAT_PASSES: tuple[Callable[[Graph], Graph], ...] = (
    drop_identities,
    spell_products,
    remove_transposes,
    orient_products,
    split_tail,
    normalise_gemm,
    spell_out,
    merge_common,
    sink_reshapes,
    fold_affine,
    fuse_activation,
    # A factor may also follow the activation, and another activation the factor.
    fold_affine,
    fuse_activation,
    fuse_chain,
    # A chain has one operand and goes in front of a reshape.
    sink_reshapes,
    fold_affine_forward,
    fuse_pad,
    # Merged reshapes may have become identities.
    drop_identities,
    remove_dead_code,
)
"""Each takes a float-level graph to an equal one, exactly but for folding's rounding."""


def prepare_float(graph: Graph) -> Graph:
    """Run :data:`FLOAT_PASSES`, verifying after each; raises UnsupportedModel for what cannot be brought into form."""
    for step in FLOAT_PASSES:
        graph = step(graph)
        verify(graph, f"pass {step.__name__}")
    return graph
