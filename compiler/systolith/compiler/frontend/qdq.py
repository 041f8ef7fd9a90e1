# SPDX-License-Identifier: Apache-2.0
"""The QDQ dialect: a network whose tensors pass through QuantizeLinear and DequantizeLinear, as integers.

The network's own scales and zero points are kept exactly. What is read, where ``DQ`` and ``Q`` stand for
DequantizeLinear and QuantizeLinear and ``...`` for Relu, Clip, Reshape or Identity in any number:

- ``DQ -> Conv | Gemm | MatMul -> (Add of a constant) -> ... -> Q``, weights and bias from constants;
- ``DQ, DQ -> MatMul -> ... -> Q`` of (1, M, K) and (1, K, N), both with a zero point of 0;
- ``DQ, DQ -> Add -> ... -> Q``; ``DQ -> MaxPool | AveragePool -> ... -> Q``;
- ``DQ -> Concat | Slice | Pad | Transpose (H, W) | Resize | ConvTranspose | ReduceMean (H, W) -> ... -> Q``;
- Conv, ConvTranspose and pools also of sequences (N, C, L); ``DQ -> PRelu -> Q`` with a slope for each channel;
- elementwise functions of one tensor: ``DQ -> Sigmoid -> Q``, ``DQ -> Sigmoid -> Mul(x) -> Q``, also with Q and DQ
  between them; batch normalisation, factors and offsets by channel before a Q;
- ``DQ -> Q`` of another scale; Relu, Clip and MaxPool also without a Q after them, where no value needs rounding;
- Reshape, Identity, Clip, MaxPool and data movement directly on integers;
- Q of float inputs, DQ of integer inputs and outputs;
- before any output, on the host: ``DQ -> Softmax -> (Q -> (DQ))``, ``(DQ) -> (Softmax) -> ArgMax``.

Each Q after an operator becomes one integer-level node that rounds where the Q rounds. A Reshape that flattens a map
before a Gemm or MatMul becomes that layer's kernel, as large as the map.
"""

from __future__ import annotations

from dataclasses import replace

from ..borders import HOST_OPERATORS, HostStep, network_type
from ..ir import Graph, Node, QParams, Tensor
from ..passes.rewrite import prune
from .qdq_bias import settled
from .qdq_constants import QuantiserConstants, refuse, signed_qparams
from .qdq_layers import LAYERS
from .qdq_ties import may_tie
from .qdq_values import Activation, ConstantCodes, FloatInput, FloatNumbers, HostTail, Pending, Value, Weights
from .qdq_walk import Walk

__all__ = ["import_qdq", "is_qdq"]


_KEEP_INTEGERS = ("Clip", "Concat", "Identity", "MaxPool", "Pad", "Reshape", "Resize", "Slice", "Transpose")
"""Operators whose result has the quantisation of what they read, on integers."""


def is_qdq(graph: Graph) -> bool:
    """Whether a graph read from ONNX belongs to this dialect."""
    return any(node.op in ("QuantizeLinear", "DequantizeLinear") for node in graph.nodes)


def import_qdq(graph: Graph, *, weight_bits: int = 8) -> Graph:
    """The integer-level graph of a QDQ network.

    Args:
        graph: the network with normalised nodes, from :func:`systolith.compiler.frontend.onnx_reader.read_graph`.
        weight_bits: bits of a signed weight, zero point taken off.

    Returns:
        The integer level. Tensors have the names of the QuantizeLinear outputs they stand for; inputs and outputs
        have the network's names. ``host_tail`` holds the texts of :class:`systolith.compiler.borders.HostStep`.

    Raises:
        UnsupportedModel: anything that is not in the list above; the message names the node and the way out.
    """
    walk = Walk(graph, weight_bits)
    for name in graph.inputs:
        walk.values[name] = _input(walk, name)
    for node in graph.nodes:
        walk.values[node.outputs[0]] = _apply(walk, node)
    _name_outputs(walk, [_output(walk, name) for name in graph.outputs])
    return prune(
        Graph(
            name=graph.name,
            inputs=graph.inputs,
            outputs=graph.outputs,
            nodes=tuple(walk.nodes),
            tensors=walk.tensors,
            constants=walk.constants,
            host_tail=_host_tail(walk),
            integer_io=graph.integer_io,
        )
    )


def _apply(walk: Walk, node: Node) -> Value:
    """What a node's output stands for."""
    if node.op == "QuantizeLinear":
        return _quantise(walk, node)
    if node.op == "DequantizeLinear":
        return _dequantise(walk, node)
    if node.op in HOST_OPERATORS:
        return _host(walk, node)
    if node.op in LAYERS:
        return LAYERS[node.op](walk, node)
    accepted = f"{', '.join(LAYERS)} and a final {' or '.join(HOST_OPERATORS)} in a quantised network"
    raise refuse(node, "it is not one of the quantised operators", accepted, "fold it into a layer before quantising")


# ---------------------------------------------------------------------- quantisers


def _quantise(walk: Walk, node: Node) -> Value:
    constants = QuantiserConstants.of(node, walk.source)
    value = walk.value(node, 0)
    if isinstance(value, FloatNumbers):
        return ConstantCodes(constants.quantise(value.numbers))
    qparams = signed_qparams(constants, constants.dtype("uint8"))
    if "ties_with_zero" in node.attributes:
        _check_ties(walk, node, value, qparams)
    if isinstance(value, HostTail) and value.real:
        return HostTail(value.logits, (*value.steps, HostStep(node.op, qparams)), real=False)
    if isinstance(value, FloatInput):
        return _quantise_input(walk, node, value, qparams)
    if not isinstance(value, Pending):
        activation = walk.real(node)
        if activation.qparams == qparams:
            return replace(activation, real=False)
        value = walk.rescaled(node, activation, (node.op,))
    return walk.rounded(value, qparams, node.inputs[0], node.outputs[0])


def _check_ties(walk: Walk, node: Node, value: Value, qparams: QParams) -> None:
    """Refuse what rounds otherwise if the zero point comes first; integers of this quantisation do not round at all."""
    if isinstance(value, Activation):
        if value.qparams == qparams:
            return
        value = walk.rescaled(node, value, ())
    if not isinstance(value, Pending) or may_tie(settled(value, qparams, walk.weight_bits), qparams.scale):
        problem = f"zero point {qparams.zero_point + qparams.offset}, odd, and values halfway between two integers"
        accepted = "odd zero points only where no value can lie there, so not of inputs"
        raise refuse(node, f"{problem}, which round to even with it", accepted, "quantise activations symmetrically")


def _quantise_input(walk: Walk, node: Node, value: FloatInput, qparams: QParams) -> Activation:
    tensor = Tensor(value.name, walk.source.tensors[value.name].shape, qparams)
    if walk.tensors.setdefault(value.name, tensor) != tensor:
        raise refuse(node, f"input {value.name!r} is quantised in two ways", "one scale and zero point for each input")
    return Activation(value.name, value.shape, qparams, real=False)


def _dequantise(walk: Walk, node: Node) -> Value:
    constants = QuantiserConstants.of(node, walk.source)
    name = node.inputs[0]
    value = walk.values.get(name)
    if value is None:
        return constants.dequantise(walk.source.constant(name))
    if isinstance(value, ConstantCodes):
        return constants.dequantise(value.codes)
    if isinstance(value, HostTail) and not value.real:
        known = value.steps[-1].qparams
        if known is None:
            raise refuse(node, f"it reads {name!r}, an index", "integers of a QuantizeLinear")
        step = HostStep(node.op, signed_qparams(constants, str(network_type(known))))
        return HostTail(value.logits, (*value.steps, step), real=True)
    activation = walk.activation(node, name)
    if signed_qparams(constants, constants.dtype(str(network_type(activation.qparams)))) != activation.qparams:
        accepted = "the scale, zero point and type of the QuantizeLinear before it"
        raise refuse(node, f"it reads {name!r} with another scale, zero point or type", accepted)
    return replace(activation, real=True)


# ---------------------------------------------------------------------- borders


def _input(walk: Walk, name: str) -> Value:
    """A float input waits for its Q; the quantisation of an integer input is that of its DQ."""
    shape = walk.source.tensors[name].shape
    if name not in walk.source.integer_io:
        return FloatInput(name, shape)
    qparams = _input_qparams(walk, name)
    walk.tensors[name] = Tensor(name, shape, qparams)
    return Activation(name, shape, qparams, real=False)


def _input_qparams(walk: Walk, name: str) -> QParams:
    """The quantisation by which the network reads integer input ``name``, at once or moved and limited before."""
    tensors = [name]
    for tensor in tensors:
        for node in walk.source.consumers(tensor):
            if node.op in _KEEP_INTEGERS:
                tensors.append(node.outputs[0])
            elif node.op == "DequantizeLinear":
                constants = QuantiserConstants.of(node, walk.source)
                if constants.zero is not None:
                    return signed_qparams(constants, constants.dtype(""))
    problem = f"it reads integer input {name!r} as it is"
    accepted = "integer inputs that a DequantizeLinear with a zero point reads"
    raise refuse(walk.source.consumers(name)[0], problem, accepted)


def _host(walk: Walk, node: Node) -> HostTail:
    """A Softmax or ArgMax at the end of the network; the order of integers is that of the reals."""
    before, step = walk.value(node, 0), HostStep.of(node)
    if isinstance(before, HostTail) and before.real:
        return HostTail(before.logits, (*before.steps, step), real=node.op != "ArgMax")
    logits = walk.activation(node, node.inputs[0]) if node.op == "ArgMax" else walk.real(node)
    return HostTail(walk.in_shape(node, logits), (step,), real=node.op != "ArgMax")


def _host_tail(walk: Walk) -> dict[str, tuple[str, ...]]:
    """The steps after each output that has some."""
    values = {name: walk.values[name] for name in walk.source.outputs}
    tails = {name: value.steps for name, value in values.items() if isinstance(value, HostTail)}
    return {name: tuple(step.text for step in steps) for name, steps in tails.items()}


def _producer(walk: Walk, name: str) -> Node:
    """The node to name in a refusal about a tensor."""
    return walk.source.producer(name) or walk.source.consumers(name)[0]


def _output(walk: Walk, name: str) -> Activation:
    """The integer tensor behind a network output, in the output's shape."""
    value, node = walk.values[name], _producer(walk, name)
    if isinstance(value, HostTail):
        return value.logits
    if isinstance(value, Weights | ConstantCodes):
        raise refuse(node, f"output {name!r} is constant", "outputs that depend on an input")
    return walk.in_shape(node, walk.activation(node, name))


def _name_outputs(walk: Walk, outputs: list[Activation]) -> None:
    """Give the tensors behind the outputs the outputs' names and shapes; a View where one has to stay as it is."""
    names: dict[str, str] = {}
    views: list[tuple[str, str]] = []
    for name, activation in zip(walk.source.outputs, outputs, strict=True):
        if activation.tensor in names or activation.tensor in walk.source.inputs:
            views.append((activation.tensor, name))
        else:
            names[activation.tensor] = name
    walk.nodes[:] = [_renamed(node, names) for node in walk.nodes]
    for old in names:
        del walk.tensors[old]
    for name, activation in zip(walk.source.outputs, outputs, strict=True):
        walk.tensors[name] = Tensor(name, activation.shape, activation.qparams)
    for tensor, name in views:
        walk.nodes.append(Node("View", name, (names.get(tensor, tensor),), (name,), origin=("Identity",)))


def _renamed(node: Node, names: dict[str, str]) -> Node:
    inputs = tuple(names.get(name, name) for name in node.inputs)
    return replace(node, inputs=inputs, outputs=tuple(names.get(name, name) for name in node.outputs))
