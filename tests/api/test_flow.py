# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from systolith.api.bundled import DIGITS, digits_test, network_file
from systolith.api.flow import SAMPLES, compile
from systolith.compiler.errors import CalibrationError
from systolith.spec.arch import PRESETS
from tests.support.builds import SmallBuild


def test_steps_in_order(small: SmallBuild, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    compiled = compile(small.model, PRESETS["tiny"], small.calibration, step=lambda *seen: steps.append(seen))
    compiled.write(tmp_path / "out", lambda *seen: steps.append(seen))
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)
    assert all(done <= total == 7 for _, done, total in steps)
    assert steps[0][0] == "import"
    assert steps[-1][0] == "Verilog"


def test_stored_samples_are_the_first() -> None:
    compiled = compile(network_file("digits_mlp"), "8x8", DIGITS)
    (samples,) = compiled.samples.values()
    assert len(samples) == SAMPLES


def test_same_input_same_program(small: SmallBuild) -> None:
    first, second = (compile(small.model, "tiny", small.calibration).program for _ in range(2))
    assert first == second


def test_calibration_is_asked_for(small: SmallBuild) -> None:
    with pytest.raises(CalibrationError, match="--calib"):
        compile(small.model, "tiny")


def test_bundled_data() -> None:
    inputs, labels = digits_test()
    assert inputs.shape == (500, 1, 8, 8)
    assert inputs.dtype == "float32"
    assert 0 <= inputs.min() < inputs.max() <= 1
    assert set(labels) == set(range(10))
