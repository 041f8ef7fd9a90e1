# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation with all its decisions: method, equalisation and, if allowed, the bits of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .choose_method import Chosen, Progress, no_progress, quantise_measured
from .errors import QuantisationError
from .ir import Graph
from .passes.affine import LAYERS
from .quantise_config import QuantiseConfig
from .weight_search import Allowance, Narrowed, narrow_weights, weight_bytes

__all__ = ["Quantised", "quantise_float"]


@dataclass(frozen=True)
class Quantised:
    """A network in integers and what was decided."""

    network: Graph
    """Integer level, as quantisation made it: tensors and nodes have the names of ``source``."""
    source: Graph
    """The float network that was quantised: the one given, or its equalised form."""
    config: QuantiseConfig
    """The options with everything decided."""
    decisions: Mapping[str, Any]
    """For reports, as JSON holds it: ``method``, ``equalised``, ``snr`` (decibel), ``tried`` (decibel by candidate),
    ``weight_bits`` (by layer), ``weight_bytes`` and, after a search, ``search``."""


def quantise_float(
    graph: Graph,
    data: Mapping[str, NDArray[Any]],
    config: QuantiseConfig,
    allowance: Allowance | None = None,
    labels: NDArray[Any] | None = None,
    progress: Progress = no_progress,
) -> Quantised:
    """Quantise a prepared float-level graph.

    Args:
        graph: after :func:`~systolith.compiler.passes.prepare.prepare_float`.
        data: calibration samples, one array (B, ...) per input.
        config: the options; what they leave to ``auto`` is measured.
        allowance: lets the bits of the weights be chosen for each layer that the config does not name.
        labels: classes (B,) of the samples, if known.
        progress: told each measurement.

    Raises:
        CalibrationError, QuantisationError, UnsupportedModel: as the steps.
    """
    _check_layers(graph, config)
    if allowance is None:
        chosen = quantise_measured(graph, data, config, progress)
        return Quantised(chosen.network, chosen.source, chosen.config, _decisions(chosen))
    widest = config.with_(default_bits=allowance.widths[0])
    # What suits wide weights need not suit narrow ones, and most layers become narrow.
    start = quantise_measured(graph, data, widest.with_(default_bits=allowance.widths[:2][-1]), progress)
    found = narrow_weights(start, data, allowance, labels, progress)
    chosen = found.chosen
    decisions = _decisions(chosen) | {"tried": _rounded(start.tried), "search": _search(found, allowance)}
    return Quantised(chosen.network, chosen.source, chosen.config, decisions)


def _check_layers(graph: Graph, config: QuantiseConfig) -> None:
    layers = [node.name for node in graph.nodes if node.op in LAYERS]
    unknown = next((name for name in config.layer_bits if name not in layers), None)
    if unknown is not None:
        raise QuantisationError(f"no layer {unknown!r} has weights; accepted: {', '.join(layers)}")


def _decisions(chosen: Chosen) -> dict[str, Any]:
    config, layers = chosen.config, [node for node in chosen.network.nodes if node.op == "QConv"]
    return {
        "method": config.method,
        "symmetric": config.symmetric,
        "equalised": config.equalise == "on",
        "snr": round(chosen.snr, 2),
        "tried": _rounded(chosen.tried),
        "weight_bits": {node.name: node.attributes.get("weight_bits", config.weight_bits) for node in layers},
        "weight_bytes": weight_bytes(chosen.network, config.weight_bits),
    }


def _rounded(tried: Mapping[str, float]) -> dict[str, float]:
    return {name: round(snr, 2) for name, snr in tried.items()}


def _search(found: Narrowed, allowance: Allowance) -> dict[str, Any]:
    return {
        "widths": sorted(set(allowance.bits)),
        "max_drop": allowance.max_drop,
        "measure": found.measure,
        "drop": round(found.drop, 3),
        "bytes_before": found.bytes_before,
    }
