# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from systolith.api.build_folder import BuildFolder
from systolith.api.network import ReferenceBackend, engine_feeds, outputs_of
from tests.support.builds import SmallBuild
from tests.support.command import run

SIMULATOR = ("--simulator", "amaranth")


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_outputs_are_those_of_the_reference(small: SmallBuild, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"y.{suffix}"
    outcome = run(
        "simulate", small.folder, "--input", small.calibration, "--count", "2", "--output", output, *SIMULATOR
    )
    assert outcome.code == 0
    build = BuildFolder(small.folder)
    network, program = build.network(), build.program()
    feeds = engine_feeds(network, {name: values[:2] for name, values in build.samples().items()})
    (expected,) = outputs_of(network, ReferenceBackend(network).run(program, feeds)).values()
    content = np.load(output)
    np.testing.assert_array_equal(content if suffix == "npy" else content[network.outputs[0]], expected)
    cycles = f"{BuildFolder(small.folder).report()['cycles']:,}"
    rows = [line.split("│") for line in outcome.out.splitlines() if line.startswith("│")]
    assert [(row[1].strip(), row[3].strip()) for row in rows] == [("0", cycles), ("1", cycles)]


def test_figures(small: SmallBuild) -> None:
    outcome = run("simulate", small.folder, "--input", small.calibration, "--count", "2", *SIMULATOR, "--json", "-")
    figures = json.loads(outcome.out)
    assert (figures["arch"], figures["simulator"]) == ("tiny", "amaranth")
    assert len(figures["inferences"]) == len(figures["outputs"]["gemm4_out"]) == 2
    assert figures["inferences"][0]["counters"]["cycles"] == BuildFolder(small.folder).report()["cycles"]
    assert sum(figures["inferences"][0]["attribution"].values()) == pytest.approx(1)


def test_waveform(small: SmallBuild, tmp_path: Path) -> None:
    waves = tmp_path / "run.vcd"
    options = ("--input", small.calibration, "--count", "1", "--waves", waves)
    assert run("simulate", small.folder, *options, *SIMULATOR).code == 0
    assert waves.read_text().lstrip().startswith("$")
