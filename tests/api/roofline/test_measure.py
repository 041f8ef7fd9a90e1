# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from systolith.api.build_folder import BuildFolder
from systolith.api.roofline.figures import roofline_figures
from systolith.api.roofline.measure import differences, measure
from tests.support.builds import SmallBuild


def test_the_hardware_counts_what_the_model_predicts(small: SmallBuild) -> None:
    build, told = BuildFolder(small.folder), []
    measured = measure(build, "amaranth", lambda step, done, total: told.append(step))
    assert differences(roofline_figures(build.program())["counters"], measured["counters"]) == []
    assert (measured["simulator"], measured["input"]) == ("amaranth", "stored input 0")
    assert sum(measured["attribution"].values()) == pytest.approx(1)
    assert "inference in amaranth" in told


def test_without_stored_inputs_a_random_one_is_run(small: SmallBuild, tmp_path: Path) -> None:
    folder = small.copy(tmp_path / "build")
    with (folder / "samples.npz").open("wb") as file:
        np.savez(file)
    measured = measure(BuildFolder(folder), "amaranth")
    assert measured["input"] == "random input, seed 0"
    assert measured["counters"]["cycles"] == BuildFolder(folder).report()["cycles"]


def test_each_difference_is_named() -> None:
    model = {"cycles": 10, "drain": 4}
    assert differences(model, {"cycles": 10, "drain": 5}) == ["counter drain is 5, the cycle model says 4"]
