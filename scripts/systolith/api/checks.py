# SPDX-License-Identifier: Apache-2.0
"""Verification of a build folder: every back end against every other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from systolith.compiler.ir import Graph
from systolith.compiler.model import Prediction, predict
from systolith.compiler.runtime import RunResult
from systolith.spec.image import Program
from systolith.spec.link import Counter
from systolith.testbench.cycles import locate_cycles
from systolith.testbench.runner.backend import Observation, RtlSimulator
from systolith.testbench.verify import Sample, Verdict, verify

from .build_folder import BuildFolder
from .flow import Step, no_step
from .network import engine_feeds, make_sample, random_inputs
from .report import named

__all__ = ["Judgement", "check", "collect_samples", "judge", "timing_findings"]


def collect_samples(
    build: BuildFolder, program: Program, network: Graph, *, real: int, randoms: int, seed: int
) -> list[Sample]:
    """The first ``real`` stored inputs and ``randoms`` random ones, with the reference's answers."""
    stored = build.samples() if real else {}
    feeds = engine_feeds(network, {name: values[:real] for name, values in stored.items()}) if stored else []
    named_feeds = [(f"stored {index}", feed) for index, feed in enumerate(feeds)]
    named_feeds += [(f"random {index}", feed) for index, feed in enumerate(random_inputs(network, randoms, seed))]
    return [make_sample(network, program, name, feed) for name, feed in named_feeds]


class _Keeping:
    """The simulator, which also keeps what it observed."""

    def __init__(self, rtl: RtlSimulator) -> None:
        self._rtl = rtl
        self.results: list[RunResult] = []
        self.seconds = 0.0

    def observe(self, program: Program, inputs: Sequence[Any]) -> list[Observation]:
        start = time.perf_counter()
        observations = self._rtl.observe(program, inputs)
        self.seconds = time.perf_counter() - start
        self.results = [observation.result for observation in observations]
        return observations


def _timing_finding(program: Program, predicted: Prediction, result: RunResult) -> str:
    """Where a run's counters first differ from the cycle model's; empty if they are equal."""
    place = locate_cycles(program, predicted.descriptors, result.descriptors) if result.descriptors else None
    if place is not None:
        return str(place)
    expected, got = named(predicted.total), named(result.counters or {})
    differing = [name for name in expected if got[name] != expected[name]]
    return (
        f"counter {differing[0]} is {got[differing[0]]}, the cycle model says {expected[differing[0]]}"
        if differing
        else ""
    )


def timing_findings(program: Program, results: Sequence[RunResult]) -> list[str]:
    """A line for each run whose counters differ from the cycle model's: the first layer, tile and cause."""
    predicted = predict(program)
    found = [_timing_finding(program, predicted, result) for result in results]
    return [f"run {index}: {text}" for index, text in enumerate(found) if text]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What became of the samples in the RTL."""

    verdict: Verdict
    results: Sequence[RunResult]
    """The RTL's, one a sample."""
    findings: Sequence[str]
    """A line for each difference, in values or in cycles; empty if everything is equal."""
    seconds: float
    """Wall time of the simulation: start, loading, all samples."""


def judge(program: Program, samples: Sequence[Sample], rtl: RtlSimulator, step: Step = no_step) -> Judgement:
    """Compare the reference's answers, the ISA model, the RTL and, to the cycle, the cycle model.

    Raises:
        SimulationError: the simulator failed.
    """
    device = _Keeping(rtl)
    verdict = verify(program, samples, device, lambda done, total: step("compare", done, total))
    findings = [str(finding) for finding in verdict.findings] + timing_findings(program, device.results)
    return Judgement(verdict=verdict, results=device.results, findings=findings, seconds=device.seconds)


def check(
    build: BuildFolder,
    *,
    simulator: str | None = None,
    samples: int = 4,
    randoms: int = 2,
    seed: int = 0,
    cache: Path | None = None,
    step: Step = no_step,
) -> dict[str, Any]:
    """Compare reference, ISA model, RTL and cycle model; the figures, with one line a finding.

    Args:
        build: what to verify.
        simulator: as for :class:`~systolith.testbench.runner.backend.RtlSimulator`.
        samples: at most so many of the stored real inputs.
        randoms: so many random inputs.
        seed: of the random inputs.
        cache: folder for built simulators; by default the user's.
        step: told the progress.

    Raises:
        ImageError, InputFileError: the build folder is damaged.
        SimulationError: no simulator, or it failed.
    """
    program, network = build.program(), build.network()
    step("integer reference", 0, 0)
    cases = collect_samples(build, program, network, real=samples, randoms=randoms, seed=seed)
    rtl = RtlSimulator(
        program.arch,
        simulator=simulator,
        cache=cache,
        progress=lambda done, total: step(f"RTL in {rtl.simulator}", done, total),
    )
    step(f"build for {rtl.simulator} (kept for next time)", 0, 0)
    rtl.prepare()
    judgement = judge(program, cases, rtl, step)
    verdict, findings = judgement.verdict, list(judgement.findings)
    return {
        "network": program.name,
        "arch": program.arch.name,
        "simulator": rtl.simulator,
        "note": rtl.note,
        "real": sum(case.name.startswith("stored") for case in cases),
        "random": randoms,
        "seed": seed,
        "elements": verdict.elements,
        "stores": verdict.stores,
        "cycles": predict(program).total[Counter.CYCLES],
        "findings": findings,
        "equal": not findings,
    }
