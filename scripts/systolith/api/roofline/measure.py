# SPDX-License-Identifier: Apache-2.0
"""One inference in the RTL simulator, for its counters beside the cycle model's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from systolith.compiler.errors import InputFileError
from systolith.testbench.runner.backend import RtlSimulator

from ..attribution import attribution, named
from ..build_folder import BuildFolder
from ..flow import Step, no_step
from ..network import engine_feeds, random_inputs

__all__ = ["differences", "measure"]

_SEED = 0


def _feed(build: BuildFolder) -> tuple[Mapping[str, Any], str]:
    """The first stored input, or a random one; and which it is. Cycles do not depend on it."""
    network = build.network()
    stored = build.samples()
    if stored:
        return engine_feeds(network, {name: values[:1] for name, values in stored.items()})[0], "stored input 0"
    return random_inputs(network, 1, _SEED)[0], f"random input, seed {_SEED}"


def measure(build: BuildFolder, simulator: str | None = None, step: Step = no_step) -> dict[str, Any]:
    """Counters of one inference in RTL: ``simulator``, ``note``, ``input``, ``counters``, ``attribution``.

    Args:
        build: the network.
        simulator: as for :class:`~systolith.testbench.runner.backend.RtlSimulator`.
        step: told the progress.

    Raises:
        ImageError, InputFileError: the build folder is damaged.
        SimulationError: no simulator, or it failed.
    """
    program = build.program()
    feed, name = _feed(build)
    rtl = RtlSimulator(program.arch, simulator=simulator)
    step(f"build for {rtl.simulator} (kept for next time)", 0, 0)
    rtl.prepare()
    step(f"inference in {rtl.simulator}", 0, 0)
    counters = rtl.run(program, [feed])[0].counters
    if counters is None:
        raise InputFileError(f"{build.path}: the engine gave no counters")
    shares = attribution(counters, program.arch)
    return {
        "simulator": rtl.simulator,
        "note": rtl.note,
        "input": name,
        "counters": named(counters),
        "attribution": shares,
    }


def differences(expected: Mapping[str, int], measured: Mapping[str, int]) -> list[str]:
    """Where the hardware's counters are not the model's, a line each."""
    return [
        f"counter {name} is {measured[name]}, the cycle model says {value}"
        for name, value in expected.items()
        if measured[name] != value
    ]
