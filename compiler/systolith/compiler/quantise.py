# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation: a prepared float-level graph and its calibration become an integer-level graph.

Weights are symmetric per output channel, activations asymmetric per tensor. A fused activation becomes the bounds of
the requantisation. A Gemm becomes a convolution: of a vector with a 1 x 1 kernel, of a flattened map with a kernel that
covers the map, so that nothing is ever transposed. Maximum pools keep their input's scale and are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from .calibrate import Calibration
from .ir import Graph, Node
from .quantise_builder import Builder
from .quantise_config import QuantiseConfig
from .quantise_elementwise import ELEMENTWISE_RULES
from .quantise_layers import convolution, matrix_product
from .quantise_movement import concat, pad, reduce_mean, take, transpose
from .quantise_pairs import addition
from .quantise_product import centre_ranges, matrix_product_of_two
from .quantise_resize import resize
from .quantise_transposed import conv_transpose
from .quantise_vector import average_pool, max_pool, requantisation, reshape
from .tie_ranges import tie_ranges
from .verify import verify

__all__ = ["quantise"]


def quantise(graph: Graph, calibration: Calibration, config: QuantiseConfig) -> Graph:
    """Quantise a network.

    Args:
        graph: a float-level graph after :func:`~systolith.compiler.passes.prepare.prepare_float`.
        calibration: the range of every tensor.
        config: bits.

    Returns:
        The integer-level graph: the same inputs, outputs, tensor and node names.

    Raises:
        UnsupportedModel: a node the engine cannot do exactly.
        QuantisationError: sums that can overflow the accumulator.
    """
    ranges = centre_ranges(graph, tie_ranges(graph, calibration.ranges), config.act_bits)
    calibration = replace(calibration, ranges=ranges)
    builder = Builder(graph, calibration, config)
    for node in graph.nodes:
        rule = _RULES.get(node.op)
        if rule is None:
            raise builder.refuse(node, f"operator {node.op} has no integer form here", ", ".join(_RULES))
        rule(builder, node)
    result = builder.finish()
    verify(result, "quantisation")
    return result


_RULES: Mapping[str, Callable[[Builder, Node], None]] = {
    **ELEMENTWISE_RULES,
    "Add": addition,
    "AveragePool": average_pool,
    "Clip": requantisation,
    "Concat": concat,
    "Conv": convolution,
    "ConvTranspose": conv_transpose,
    "Gemm": matrix_product,
    "MatMul": matrix_product_of_two,
    "MaxPool": max_pool,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": requantisation,
    "Reshape": reshape,
    "Resize": resize,
    "Slice": take,
    "Transpose": transpose,
}
