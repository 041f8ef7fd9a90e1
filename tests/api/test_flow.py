# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from systolith.api.bundled import DIGITS, digits_test, network_file
from systolith.api.flow import SAMPLES, compile
from systolith.api.network import IsaBackend, engine_feeds, outputs_of
from systolith.compiler.errors import CalibrationError
from systolith.spec.arch import PRESETS
from tests.support.builds import SmallBuild
from tests.support.float_models import ModelBuilder, run_onnxruntime


def test_steps_in_order(small: SmallBuild, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    compiled = compile(small.model, PRESETS["tiny"], small.calibration, step=lambda *seen: steps.append(seen))
    compiled.write(tmp_path / "out", lambda *seen: steps.append(seen))
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)
    assert all(done <= total == steps[0][2] for _, done, total in steps)
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


def test_each_output_has_its_own_host_tail(tmp_path: Path) -> None:
    net = ModelBuilder((1, 3, 6, 6), seed=5)
    x = net.add("Relu", net.conv("input", 4, 3, 3, 3))
    y = net.add("Softmax", net.conv(x, 4, 4, 3, 3), axis=1)
    z = net.add("Flatten", net.add("GlobalAveragePool", x))
    z = net.add("Softmax", net.add("Gemm", z, net.weights(5, 4), transB=1))
    samples = np.random.default_rng(5).normal(0, 1, (8, 3, 6, 6)).astype(np.float32)
    np.save(tmp_path / "x.npy", samples)
    model = net.save(tmp_path / "net.onnx", y, z)
    folder = compile(model, "tiny", tmp_path / "x.npy").write(tmp_path / "build")
    program, network = folder.program(), folder.network()
    assert [network.host_tail[name] for name in network.outputs] == [("Softmax",), ("Softmax",)]
    assert program.host_tail == network.host_tail
    (result,) = IsaBackend().run(program, engine_feeds(network, {"input": samples[:1]}))
    expected = run_onnxruntime(onnx.load(model), {"input": samples[:1]})
    for name, answer in zip(network.outputs, expected, strict=True):
        np.testing.assert_allclose(outputs_of(network, [result])[name], answer, atol=0.1)
    assert f"{network.outputs[0]}: Softmax; {network.outputs[1]}: Softmax" in (folder.path / "report.txt").read_text()
