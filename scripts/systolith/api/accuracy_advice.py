# SPDX-License-Identifier: Apache-2.0
"""What would make a quantised network more accurate: each change is tried and its gain measured, none is guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from systolith.compiler.choose_method import Progress, quantise_measured
from systolith.compiler.errors import QuantisationError, UnsupportedModel
from systolith.compiler.ir import Graph
from systolith.compiler.layer_noise import LayerNoise
from systolith.compiler.quality import Judge
from systolith.compiler.quantise_config import QuantiseConfig

__all__ = ["Advice", "advise", "worst_layers"]

Data = Mapping[str, NDArray[Any]]

_WORTH = 0.5
"""Decibels that a change must gain to be worth a word."""

WORST = 3
"""Layers that are named."""


@dataclass(frozen=True)
class Advice:
    """A change, the options that make it, and what it gains at the outputs on the samples."""

    change: str
    how: str
    gain: float
    """Decibel."""


def worst_layers(layers: Sequence[LayerNoise]) -> list[LayerNoise]:
    """The layers whose quantisation alone adds the most noise to the outputs, the worst first."""
    return sorted((layer for layer in layers if layer.op != "input"), key=lambda layer: -layer.alone.error)[:WORST]


def advise(
    graph: Graph,
    calibration: Data,
    data: Data,
    config: QuantiseConfig,
    snr: float,
    worst: Sequence[LayerNoise],
    progress: Progress,
) -> list[Advice]:
    """Try what could help and keep what does, the most helpful first.

    Args:
        graph: the float network.
        calibration: what it is calibrated with.
        data: samples to measure on.
        config: the options in use, everything decided.
        snr: signal to noise at the outputs in use, on ``data``, decibel.
        worst: the layers to look after.
        progress: told each trial.
    """
    judge, found = Judge(graph, data), []
    trials = list(_trials(config, worst))
    for index, (change, how, options) in enumerate(trials):
        progress("try what helps", index, len(trials))
        try:
            chosen = quantise_measured(graph, calibration, options)
            gain = judge.quality(chosen.network, chosen.config).snr - snr
        except (QuantisationError, UnsupportedModel):
            continue
        if gain >= _WORTH:
            found.append(Advice(change, _how(how, chosen.config, config), gain))
    return sorted(found, key=lambda advice: -advice.gain)


def _how(how: str, chosen: QuantiseConfig, config: QuantiseConfig) -> str:
    """The options that lead there, with what a measurement chose."""
    if how:
        return how
    parts = [f"--method {chosen.method}"] if chosen.method != config.method else []
    parts += [f"--equalise {chosen.equalise}"] if chosen.equalise != config.equalise else []
    return " ".join(parts) or "--method auto"


def _trials(config: QuantiseConfig, worst: Sequence[LayerNoise]) -> Iterator[tuple[str, str, QuantiseConfig]]:
    yield "another calibration", "", config.with_(method="auto", equalise="auto")
    if config.symmetric:
        yield "asymmetric activations", "without --symmetric", config.with_(symmetric=False)
    if config.rounding != "reconstruct":
        change = "rounding that keeps each layer's outputs"
        yield change, "--rounding reconstruct", config.with_(rounding="reconstruct")
    for layer in worst:
        if layer.weight_bits is not None and layer.weight_bits < config.weight_bits:
            bits = {**config.layer_bits, layer.name: config.weight_bits}
            how = f"--layer-weights {layer.name}={config.weight_bits}"
            yield f"{config.weight_bits}-bit weights for layer {layer.name}", how, config.with_(layer_bits=bits)
    if config.act_bits < 12:
        # what an engine can have with activations of 8 bits only has to go
        wide = config.with_(act_bits=12, acc_bits=min(64, config.acc_bits + 4), tables=0)
        how = f"an arch with act_bits=12, acc_bits={wide.acc_bits}, tables=0, dynamic_weights=false"
        yield "activations of 12 bits", how, wide
