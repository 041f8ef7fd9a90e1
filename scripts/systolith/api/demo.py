# SPDX-License-Identifier: Apache-2.0
"""The main job on a bundled network: import, quantise, compile, generate, simulate, compare, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from systolith.compiler.ir import Graph
from systolith.compiler.runtime import RunResult
from systolith.spec.link import Counter
from systolith.testbench.runner.backend import RtlSimulator

from .accuracy import float_classes, integer_classes, share_correct
from .build_folder import BuildFolder
from .bundled import DIGITS, digits_test, network_file
from .checks import check
from .flow import Step, compile
from .network import engine_feeds, outputs_of
from .report import attribution, named
from .roofline.write import report_figures, report_files, with_measured, write_report

__all__ = ["run_demo"]

NETWORK = "digits_cnn"


def _hardware_classes(network: Graph, results: Sequence[RunResult]) -> Any:
    return outputs_of(network, results)[network.outputs[0]].reshape(len(results), -1).argmax(axis=1)


def run_demo(folder: Path, *, arch: str, simulator: str | None, images: int, step: Step) -> dict[str, Any]:
    """Take the digits network from its float ONNX file to verified RTL; the figures of everything.

    Args:
        folder: the build folder to write.
        arch: the engine.
        simulator: as for :class:`~systolith.testbench.runner.backend.RtlSimulator`.
        images: test images to run through the RTL (all of them go through the numpy reference).
        step: told the progress.
    """
    compiled = compile(network_file(NETWORK), arch, DIGITS, step=step)
    build = compiled.write(folder, step)
    inputs, labels = digits_test()
    network, program = compiled.network, compiled.program
    step("accuracy of float and quantised network", 0, 0)
    as_float = float_classes(compiled.source, inputs)
    as_integers = integer_classes(network, inputs, program.arch.acc_bits)
    verdict = check(build, simulator=simulator, samples=4, randoms=2, seed=0, step=step)
    results, name = _simulate(build, simulator, inputs[:images], step)
    hardware = _hardware_classes(network, results)
    counters = results[0].counters or {}
    page = _write_page(build, counters, name)
    return build.report() | {
        "folder": str(folder),
        "simulator": name,
        "accuracy": {
            "images": len(labels),
            "float": share_correct(as_float, labels),
            "quantised": share_correct(as_integers, labels),
            "hardware_images": len(hardware),
            "hardware": share_correct(hardware, labels[: len(hardware)]),
        },
        "hardware_equals_reference": bool(np.array_equal(hardware, as_integers[: len(hardware)])),
        "verify": verdict,
        "rtl_counters": named(counters),
        "rtl_attribution": attribution(counters, program.arch),
        "page": str(page),
    }


def _write_page(build: BuildFolder, counters: Mapping[Counter, int], simulator: str) -> Path:
    """The roofline report, with the counters of the first test image."""
    page, beside = report_files(build, None)
    measured = {
        "simulator": simulator,
        "note": "",
        "input": "test image 0",
        "counters": named(counters),
        "attribution": attribution(counters, build.program().arch),
    }
    write_report(with_measured(report_figures(build), measured), page, beside)
    return page


def _simulate(build: BuildFolder, simulator: str | None, inputs: Any, step: Step) -> tuple[list[RunResult], str]:
    """The images through the RTL, in one session."""
    program, network = build.program(), build.network()
    rtl = RtlSimulator(
        program.arch,
        simulator=simulator,
        progress=lambda done, total: step(f"test images through the RTL in {rtl.simulator}", done, total),
    )
    return rtl.run(program, engine_feeds(network, {network.inputs[0]: inputs})), rtl.simulator
