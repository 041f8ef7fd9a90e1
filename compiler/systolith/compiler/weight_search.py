# SPDX-License-Identifier: Apache-2.0
"""Choose the bits of each layer's weights: as few bytes as an allowed loss of quality permits.

Each layer is first narrowed alone and the error at the network's outputs measured: its sensitivity. Layers that cost
much for few bytes keep their bits. If all others may be narrowed together, they are. Else they are one after the other,
the most bytes for the least error first, each step measured on the calibration samples and taken back if the network
then loses more than allowed. In all of these networks the outputs are matched to the float network's
(:mod:`.match_outputs`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from .borders import HOST_OPERATORS, HostStep
from .calibrate import choose_ranges
from .choose_method import Chosen, Progress, no_progress, spread
from .errors import QuantisationError
from .ir import Graph, Node
from .match_outputs import OutputMatcher
from .observe import observe
from .quality import Judge, Quality
from .quantise import quantise
from .quantise_config import QuantiseConfig

__all__ = ["Allowance", "Narrowed", "narrow_weights", "weight_bytes"]

Data = Mapping[str, NDArray[Any]]

MEASURED = 512
"""Samples that a loss is measured on, at most."""

RANKED = 32
"""Samples that layers are ranked by and that outputs are matched on, at most."""

_DEAR = 4
"""A layer keeps its bits where a byte costs so many times what it costs on average: the first and the last layer of
most networks, whose few bytes are not worth what they cost even if that is allowed."""


@dataclass(frozen=True, kw_only=True)
class Allowance:
    """What the search may choose from, and what it may cost."""

    bits: tuple[int, ...] = (4, 8)
    """Widths of weights to choose from."""
    max_drop: float = 0.5
    """Most that narrower weights may cost on the calibration samples beyond what the widest do, in points (percent): of
    samples classified as labelled; without labels, of samples classified as by the float network; for a network that
    does not classify, of the error's power in that of the outputs."""

    def __post_init__(self) -> None:
        """Check the values; raises QuantisationError."""
        if not self.bits or any(bits not in (2, 4, 8) for bits in self.bits):
            raise QuantisationError(f"widths of weights {list(self.bits)}; accepted: some of 2, 4 and 8")
        if not 0 <= self.max_drop <= 100:
            raise QuantisationError(f"max-drop {self.max_drop}; accepted: 0..100 points")

    @property
    def widths(self) -> list[int]:
        """The widths, the widest first."""
        return sorted(set(self.bits), reverse=True)


@dataclass(frozen=True)
class Narrowed:
    """What the search found."""

    chosen: Chosen
    """The network; its config has the bits of each layer."""
    measure: str
    """What a point of drop is: "top-1", "agreement" or "output error"."""
    drop: float
    """Points lost on the calibration samples by narrowing."""
    bytes: int
    """Of all weights."""
    bytes_before: int
    """With the widest weights."""


def weight_bytes(network: Graph, default_bits: int) -> int:
    """Bytes of an integer network's weights, each layer rounded up."""
    return sum(_bytes(network, node, node.attributes.get("weight_bits", default_bits)) for node in _layers(network))


def _layers(network: Graph) -> list[Node]:
    return [node for node in network.nodes if node.op == "QConv"]


def _bytes(network: Graph, node: Node, bits: int) -> int:
    return math.ceil(network.constant(node.attributes["weight"]).size * bits / 8)


class _Scale:
    """Turns a quality into points lost."""

    def __init__(self, judge: Judge, *, classifies: bool) -> None:
        self._judge = judge
        self.name = "top-1" if judge.correct is not None else "agreement" if classifies else "output error"

    def drop(self, quality: Quality) -> float:
        return 100 * (quality.error if self.name == "output error" else quality.lost)


@dataclass(frozen=True)
class _Step:
    """One layer from one width to the next narrower."""

    layer: str
    bits: int
    saved: int
    cost: float
    """Error added by a byte saved, relative to the network at the widest widths; not less than that of the step
    before."""


def narrow_weights(
    start: Chosen,
    data: Data,
    allowance: Allowance,
    labels: NDArray[Any] | None = None,
    progress: Progress = no_progress,
) -> Narrowed:
    """Lower the bits of as many weights as the allowance permits.

    Args:
        start: the network with all options but these decided; layers with bits of their own keep them.
        data: calibration samples, one array (B, ...) per input.
        allowance: the widths and the loss.
        labels: classes (B,) of the samples, if known.
        progress: told each measurement.

    Raises:
        QuantisationError: a width is wider than the engine's weights.
    """
    widths = allowance.widths
    known = None if labels is None else spread({"y": labels}, MEASURED)["y"]
    judge = Judge(start.source, spread(data, MEASURED), known)
    scale = _Scale(judge, classifies=_classifies(start.source))
    mixer = _Mixer(start, data, widths, progress)
    before = scale.drop(mixer.measured(judge, {}))
    bits = _found(
        mixer, lambda tried: scale.drop(mixer.measured(judge, tried)) - before <= allowance.max_drop, progress
    )
    chosen = mixer.chosen(bits)
    quality = judge.quality(chosen.network, chosen.config)
    sizes = (weight_bytes(network, widths[0]) for network in (chosen.network, mixer.network({})))
    return Narrowed(replace(chosen, snr=quality.snr), scale.name, scale.drop(quality) - before, *sizes)


def _found(mixer: _Mixer, permitted: Callable[[Mapping[str, int]], bool], progress: Progress) -> dict[str, int]:
    """The bits of each layer."""
    bits, steps = dict.fromkeys(mixer.layers, mixer.widths[0]), _steps(mixer, progress)
    progress("narrow all layers", 0, 1)
    # Of a layer's steps the last stays.
    fewest = bits | {step.layer: step.bits for step in steps}
    if permitted(fewest):
        return fewest
    for index, step in enumerate(steps):
        progress("narrow the layers", index, len(steps))
        # A layer that could not be narrowed by one width is not tried at the next.
        reachable = bits[step.layer] == mixer.widths[mixer.widths.index(step.bits) - 1]
        if reachable and permitted(tried := bits | {step.layer: step.bits}):
            bits = tried
    return bits


def _classifies(graph: Graph) -> bool:
    """Whether the host takes the largest element of the first output: a Softmax or an ArgMax follows, or the like."""
    tail = graph.host_tail.get(graph.outputs[0], ())
    return any(HostStep.parse(text).op in HOST_OPERATORS for text in tail)


def _steps(mixer: _Mixer, progress: Progress) -> list[_Step]:
    """The steps that are worth it, the cheapest byte first; those of a layer in order."""
    steps, least = [], mixer.measured(mixer.ranker, {}).error
    for index, layer in enumerate(mixer.layers):
        progress("sensitivity of the layers", index, len(mixer.layers))
        last, cost = mixer.widths[0], 0.0
        for width in mixer.widths[1:]:
            saved = mixer.bytes_of(layer, last) - mixer.bytes_of(layer, width)
            cost = max(cost, (mixer.measured(mixer.ranker, {layer: width}).error - least) / max(saved, 1))
            steps.append(_Step(layer, width, saved, cost))
            last = width
    return sorted((step for step in steps if _is_worth_it(step, steps)), key=lambda step: step.cost)


def _is_worth_it(step: _Step, steps: Sequence[_Step]) -> bool:
    """Whether neither it nor a step before it is too dear."""
    same = [other for other in steps if other.layer == step.layer and other.bits >= step.bits]
    return all(other.cost <= _dearest(steps, other.bits) for other in same)


def _dearest(steps: Sequence[_Step], bits: int) -> float:
    """What a byte may cost at most where layers get so many bits."""
    alike = [step for step in steps if step.bits == bits]
    return _DEAR * sum(step.cost * step.saved for step in alike) / max(sum(step.saved for step in alike), 1)


class _Mixer:
    """The network with any mixture of widths, put together from the networks with one width each.

    A layer's integers depend on its own width alone, as long as its output's scale does not.
    """

    def __init__(self, start: Chosen, data: Data, widths: Sequence[int], progress: Progress) -> None:
        self.config, self._source = start.config.with_(default_bits=widths[0]), start.source
        few = spread(data, RANKED)
        self.widths, self.ranker = widths, Judge(start.source, few)
        self._matcher = OutputMatcher(start.source, few)
        progress("run the calibration samples", 0, 0)
        names = [node.name for node in start.source.nodes if node.op in ("Conv", "Gemm")]
        self._seen = observe(start.source, data, names)
        self._networks = {}
        for index, width in enumerate(widths):
            progress(f"quantise to {width} bits", index, len(widths))
            self._networks[width] = self._quantised(dict.fromkeys(names, width))
        self._nodes = {width: {node.name: node for node in net.nodes} for width, net in self._networks.items()}
        self._widest = self._networks[widths[0]]
        free = [name for name in names if name not in self.config.layer_bits]
        self.layers = [node.name for node in _layers(self._widest) if node.name in free and self._is_free(node)]

    def _quantised(self, bits: Mapping[str, int]) -> Graph:
        config = self._with(bits)
        return quantise(self._source, choose_ranges(self._source, self._seen, config), config)

    def _with(self, bits: Mapping[str, int]) -> QuantiseConfig:
        """The options with these bits, where none are given for a layer."""
        return self.config.with_(layer_bits={**bits, **self.config.layer_bits})

    def _is_free(self, node: Node) -> bool:
        """Whether what it reads and what it makes mean the same at all widths."""
        names, networks = (*node.inputs, *node.outputs), self._networks.values()
        return all(net.tensors[name] == self._widest.tensors[name] for net in networks for name in names)

    def bytes_of(self, layer: str, bits: int) -> int:
        """Of a layer's weights."""
        return _bytes(self._widest, next(node for node in self._widest.nodes if node.name == layer), bits)

    def network(self, bits: Mapping[str, int]) -> Graph:
        """The network with layers at these widths, the others at the widest."""
        nodes, constants = [], dict(self._widest.constants)
        for node in self._widest.nodes:
            other = self._nodes[bits[node.name]][node.name] if node.name in bits else node
            nodes.append(other)
            if node.name in bits:
                source = self._networks[bits[node.name]].constants
                constants |= {other.attributes[role]: source[other.attributes[role]] for role in _ROLES}
        return self._matcher.match(self._widest.with_(nodes=tuple(nodes), constants=constants), self._with(bits))

    def measured(self, judge: Judge, bits: Mapping[str, int]) -> Quality:
        """How good a mixture is."""
        return judge.quality(self.network(bits), self.config)

    def chosen(self, bits: Mapping[str, int]) -> Chosen:
        """The network quantised anew with these widths."""
        config = self._with(bits)
        return Chosen(self._matcher.match(self._quantised(bits), config), self._source, config, math.nan)


_ROLES = ("weight", "bias", "factor")
