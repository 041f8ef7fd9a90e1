# SPDX-License-Identifier: Apache-2.0
"""Which layer costs what: each one's noise in the integer network, and what quantising it alone does to the outputs.

A layer is quantised alone by computing its result with the real values of its integer weights, rounding it to its
tensor's integers, and running what follows it in float.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .borders import dequantise, engine_inputs, quantise
from .choose_method import Progress, no_progress
from .interp import run_float
from .ir import Graph, Node, QParams
from .quality import Judge, Quality, decibel, integer_tensors, relative_error
from .quantise_config import QuantiseConfig

__all__ = ["LayerNoise", "layer_noise", "real_weights"]

Array = NDArray[Any]
Data = Mapping[str, Array]


@dataclass(frozen=True)
class LayerNoise:
    """What quantisation does to one layer, and what that does to the network."""

    name: str
    op: str
    weight_bits: int | None
    """Bits of its weights; None where it has none."""
    snr: float
    """Signal to noise of its result in the integer network, all before it quantised too, decibel."""
    alone: Quality
    """The network with this layer alone quantised."""
    weights_alone: Quality | None
    """The network with its weights alone quantised; None where it has none."""
    result_alone: Quality
    """The network with its result alone rounded."""


def layer_noise(
    source: Graph, network: Graph, data: Data, config: QuantiseConfig, progress: Progress = no_progress
) -> list[LayerNoise]:
    """Look at every input and node that has a tensor of its own at the integer level, in order.

    Args:
        source: the float network that was quantised.
        network: its integer form as quantisation made it, with the same names.
        data: samples, one array (B, ...) per input; all tensors of all samples are held at once.
        config: the options it was quantised with.
        progress: told each layer.
    """
    looker = _Looker(source, network, data, config)
    kept = [node for node in source.nodes if node.outputs[0] in network.tensors]
    found = [looker.input(name) for name in source.inputs]
    for index, node in enumerate(kept):
        progress("quantise each layer alone", index, len(kept))
        found.append(looker.layer(node))
    return found


def real_weights(network: Graph, node: Node) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The real values of a QConv's integer weights, (O, I/group, kh, kw), and of its bias, (O)."""
    source, result = (_params(network, name) for name in (node.inputs[0], node.outputs[0]))
    weight, bias, factor = (network.constant(node.attributes[role]) for role in ("weight", "bias", "factor"))
    products = factor * result.scale
    return weight * (products / source.scale).reshape(-1, 1, 1, 1), bias * products


def _params(network: Graph, name: str) -> QParams:
    params = network.tensors[name].qparams
    if params is None:
        raise ValueError(f"tensor {name!r} has no quantisation: not an integer-level graph")
    return params


class _Looker:
    """All tensors of the samples, in float and in integers."""

    def __init__(self, source: Graph, network: Graph, data: Data, config: QuantiseConfig) -> None:
        self._source, self._network = source, network
        self._judge = Judge(source, data)
        self._exact = run_float(source, data, source.tensors)
        feeds = engine_inputs(network, data)
        codes = integer_tensors(network, feeds, config, tuple(network.tensors))
        self._integer = {name: dequantise(value, _params(network, name)) for name, value in codes.items()}
        self._default_bits = config.weight_bits
        self._convolutions = {node.name: node for node in network.nodes if node.op == "QConv"}

    def input(self, name: str) -> LayerNoise:
        """A network input: only its values are rounded."""
        quality = self._after(name, self._rounded(name, self._exact[name]))
        return LayerNoise(name, "input", None, self._snr(name), quality, None, quality)

    def layer(self, node: Node) -> LayerNoise:
        """A node, with its weights where it has some."""
        name, exact = node.outputs[0], self._exact[node.outputs[0]]
        result_alone = self._after(name, self._rounded(name, exact))
        quantised = self._convolutions.get(node.name)
        if quantised is None or node.op not in ("Conv", "Gemm"):
            return LayerNoise(node.name, node.op, None, self._snr(name), result_alone, None, result_alone)
        computed = self._computed(node, quantised)
        bits = quantised.attributes.get("weight_bits", self._default_bits)
        alone = self._after(name, self._rounded(name, computed))
        return LayerNoise(node.name, node.op, bits, self._snr(name), alone, self._after(name, computed), result_alone)

    def _snr(self, name: str) -> float:
        got = self._integer[name]
        return decibel(relative_error(got, self._exact[name].reshape(got.shape)))

    def _rounded(self, name: str, values: Array) -> Array:
        params = _params(self._network, name)
        return dequantise(quantise(values, params), params)

    def _computed(self, node: Node, quantised: Node) -> Array:
        """The node's result with the real values of its integer weights."""
        weight, bias = real_weights(self._network, quantised)
        given = self._source.constant(node.inputs[1])
        values = {"weight": weight.reshape(given.shape).astype(np.float32), "bias": bias.astype(np.float32)}
        alone = Node(node.op, node.name, (node.inputs[0], *values), node.outputs, node.attributes)
        graph = self._part((alone,), (node.inputs[0],), node.outputs, values)
        return run_float(graph, {node.inputs[0]: self._exact[node.inputs[0]]})[node.outputs[0]]

    def _after(self, name: str, values: Array) -> Quality:
        """The network's outputs if a tensor had these values."""
        changed, nodes = {name}, []
        for node in self._source.nodes:
            if changed.intersection(node.inputs):
                nodes.append(node)
                changed.update(node.outputs)
        read = {operand for node in nodes for operand in node.inputs} - self._source.constants.keys()
        inputs = tuple(read - {result for node in nodes for result in node.outputs})
        feeds = {operand: self._exact[operand] for operand in inputs} | {name: values}
        outputs = tuple(output for output in self._source.outputs if output in changed and output != name)
        graph = self._part(tuple(nodes), tuple(feeds), outputs, self._source.constants)
        got = run_float(graph, feeds) if nodes else {}
        return self._judge.compare({output: self._exact[output] for output in self._source.outputs} | feeds | got)

    def _part(
        self, nodes: tuple[Node, ...], inputs: Collection[str], outputs: Collection[str], constants: Mapping[str, Array]
    ) -> Graph:
        return self._source.with_(nodes=nodes, inputs=tuple(inputs), outputs=tuple(outputs), constants=dict(constants))
