# SPDX-License-Identifier: Apache-2.0
"""Quantise a float network with the options that do best on the calibration samples.

Where the method is ``auto``, each is tried and the one with the best signal-to-noise ratio at the network's outputs
taken; where equalisation is, the network is tried with it and, if that is better, left so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from .calibrate import choose_ranges
from .ir import Graph
from .match_outputs import OutputMatcher
from .observe import Observation, observe
from .passes.equalise import equalise
from .quality import Judge
from .quantise import quantise
from .quantise_config import MEASURED_METHODS, QuantiseConfig
from .verify import verify

__all__ = ["Chosen", "Progress", "no_progress", "quantise_measured", "spread"]

Data = Mapping[str, NDArray[Any]]
Progress = Callable[[str, int, int], None]
"""Told a step's name, how many are done, of how many."""

MEASURED = 64
"""Samples that choices are measured on, at most."""

_WORTH = 0.2
"""Decibels that equalisation must gain to be taken: less is chance."""


def no_progress(step: str, done: int, total: int) -> None:
    """Report to nobody."""


def spread(data: Data, most: int) -> dict[str, NDArray[Any]]:
    """At most so many samples, evenly taken."""
    count = len(next(iter(data.values())))
    step = -(-count // most)
    return {name: values[::step] for name, values in data.items()}


@dataclass(frozen=True)
class Chosen:
    """A quantised network and how it came about."""

    network: Graph
    """Integer level, as quantisation made it: tensors and nodes have the names of ``source``."""
    source: Graph
    """The float network that was quantised, equalised if that was chosen."""
    config: QuantiseConfig
    """The options with every "auto" decided."""
    snr: float
    """Signal to noise at the outputs on the samples, decibel."""
    tried: Mapping[str, float] = field(default_factory=dict)
    """The ratio of each candidate that was measured."""


@dataclass(frozen=True)
class _Bench:
    """What candidates share."""

    judge: Judge
    matcher: OutputMatcher
    tried: dict[str, float] = field(default_factory=dict)

    def measure(self, name: str, graph: Graph, seen: Observation, config: QuantiseConfig) -> Chosen:
        """Quantise and measure one candidate."""
        network = self.matcher.match(quantise(graph, choose_ranges(graph, seen, config), config), config)
        self.tried[name] = self.judge.quality(network, config).snr
        return Chosen(network, graph, config, self.tried[name], self.tried)


def quantise_measured(graph: Graph, data: Data, config: QuantiseConfig, progress: Progress = no_progress) -> Chosen:
    """Quantise ``graph`` and decide on the way what ``config`` leaves open.

    Args:
        graph: a prepared float-level graph.
        data: for each graph input an array (B, ...), all with the same B.
        config: the options.
        progress: told each candidate.

    Raises:
        CalibrationError: no samples, or values that are not finite.
        UnsupportedModel, QuantisationError: as :func:`~systolith.compiler.quantise.quantise`.
    """
    progress("run the calibration samples", 0, 0)
    layers = [node.name for node in graph.nodes if config.reconstructs(node.name)]
    seen = observe(graph, data, layers)
    few = spread(data, MEASURED)
    bench = _Bench(Judge(graph, few), OutputMatcher(graph, few))
    open_config = config.with_(equalise="off") if config.equalise == "auto" else config
    if config.equalise == "on":
        graph, seen = _equalised(graph, seen, data, layers)
    candidates = list(_methods(open_config))
    tried = []
    for index, candidate in enumerate(candidates):
        progress(f"calibrate by {candidate.method}", index, len(candidates))
        tried.append(bench.measure(candidate.method, graph, seen, candidate))
    best = max(tried, key=lambda chosen: chosen.snr)
    return _with_equalisation(best, bench, data, seen, progress) if config.equalise == "auto" else best


def _methods(config: QuantiseConfig) -> Iterator[QuantiseConfig]:
    for method in MEASURED_METHODS if config.method == "auto" else (config.method,):
        yield config.with_(method=method)


def _equalised(graph: Graph, seen: Observation, data: Data, layers: list[str]) -> tuple[Graph, Observation]:
    """The equalised network and what is seen of it."""
    changed = equalise(graph, seen.peaks)
    verify(changed, "pass equalise")
    return changed, observe(changed, data, layers)


def _with_equalisation(best: Chosen, bench: _Bench, data: Data, seen: Observation, progress: Progress) -> Chosen:
    """The better of the network as it is and the equalised one."""
    layers = [node.name for node in best.source.nodes if best.config.reconstructs(node.name)]
    changed = equalise(best.source, seen.peaks)
    if changed is best.source:
        return best
    progress("equalise channels", 0, 0)
    verify(changed, "pass equalise")
    config = best.config.with_(equalise="on")
    other = bench.measure(f"{config.method}, equalised", changed, observe(changed, data, layers), config)
    return other if other.snr >= best.snr + _WORTH else best
