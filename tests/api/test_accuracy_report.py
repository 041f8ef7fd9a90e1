# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from systolith.api.accuracy import float_classes, integer_classes
from systolith.api.accuracy_report import measure_accuracy
from systolith.api.bundled import DIGITS, digits_test, network_file
from systolith.api.flow import compile
from systolith.compiler.errors import CalibrationError
from systolith.compiler.interp import run_float
from systolith.compiler.pipeline import import_network
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.weight_search import Allowance
from tests.support.float_models import ModelBuilder
from tests.support.qdq_models import QdqModel


def test_figures_of_the_digits() -> None:
    config = QuantiseConfig(method="mse", equalise="off")
    figures = measure_accuracy(network_file("digits_mlp"), "8x8", DIGITS, DIGITS, config=config)
    compiled, (images, labels) = compile(network_file("digits_mlp"), "8x8", DIGITS, config=config), digits_test()
    as_float = float_classes(compiled.source, images)
    as_integers = integer_classes(compiled.network, images, 32)
    assert figures["samples"] == 500
    assert figures["float"]["top1"] == (as_float == labels).mean()
    assert figures["integer"]["top1"] == (as_integers == labels).mean()
    assert figures["comparison"]["agreement"] == (as_float == as_integers).mean()
    assert figures["quantisation"]["method"] == "mse"
    names = [layer["name"] for layer in figures["layers"]]
    assert set(figures["worst"]) <= set(names)
    assert len(figures["worst"]) == 3
    assert json.loads(json.dumps(figures)) == figures


def test_narrow_weights_by_labels_of_the_calibration_inputs(tmp_path: Path) -> None:
    images, labels = digits_test()
    np.savez(tmp_path / "calib.npz", x=images[:100], y=labels[:100])
    np.savez(tmp_path / "test.npz", x=images[100:], y=labels[100:])
    figures = measure_accuracy(
        *(network_file("digits_mlp"), "8x8", tmp_path / "calib.npz", tmp_path / "test.npz"),
        config=QuantiseConfig(method="mse", equalise="off"),
        allowance=Allowance(max_drop=1.0),
        layers=False,
    )
    decided = figures["quantisation"]
    assert decided["search"]["measure"] == "top-1"
    assert decided["weight_bytes"] <= 0.6 * decided["search"]["bytes_before"]
    assert figures["comparison"]["drop_points"] <= 1.5
    assert figures["layers"] == []


def test_an_autoencoder_is_judged_by_what_it_gives_back(tmp_path: Path) -> None:
    net = ModelBuilder([1, 8])
    code = net.add("MatMul", "input", net.weights(8, 3))
    model = net.save(tmp_path / "auto.onnx", net.add("MatMul", code, net.weights(3, 8)))
    x = np.random.default_rng(0).normal(0, 1, (60, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    figures = measure_accuracy(model, "8x8", tmp_path / "x.npy", tmp_path / "x.npy", layers=False)
    back = run_float(import_network(model), {"input": x})[net_output(model)]
    exact, integer = (figures[key]["mean_squared_error"] for key in ("float", "integer"))
    assert exact == pytest.approx(((back - x) ** 2).mean(), rel=1e-5)
    assert integer == pytest.approx(exact, rel=0.02)
    assert "drop_points" not in figures["comparison"]


def net_output(model: Path) -> str:
    return import_network(model).outputs[0]


def test_a_network_that_came_quantised_has_no_float_side(tmp_path: Path) -> None:
    net = QdqModel()
    x = net.real(net.conv(net.start(1, 2, 5, 5), 2, 3))
    onnx.save(net.model(x), str(tmp_path / "quantised.onnx"))
    samples = np.random.default_rng(0).normal(0, 1, (7, 2, 5, 5)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=samples, y=np.zeros(7, int))
    figures = measure_accuracy(tmp_path / "quantised.onnx", "8x8", None, tmp_path / "data.npz")
    assert figures["float"] is None
    assert figures["integer"]["of"] == 7
    assert figures["quantisation"] == {}


def test_refuses_a_float_network_without_calibration() -> None:
    with pytest.raises(CalibrationError, match=r"network 'digits_mlp' is float; give calibration inputs \(--calib"):
        measure_accuracy(network_file("digits_mlp"), "8x8", None, DIGITS)
