# SPDX-License-Identifier: Apache-2.0
"""Quantisation keeps the accuracy of trained networks: held to figures, on data that calibration has not seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from systolith.api.bundled import DIGITS, digits_test, network_file
from systolith.compiler.calibration_data import load_samples
from systolith.compiler.ir import Graph
from systolith.compiler.passes.legalise import legalise
from systolith.compiler.pipeline import import_network, simplify
from systolith.compiler.quality import classes, float_outputs, integer_outputs
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.compiler.quantise_float import Quantised, quantise_float
from systolith.compiler.weight_search import Allowance

ZOO = Path(os.environ.get("SYSTOLITH_ZOO", ""))
needs_zoo = [
    pytest.mark.zoo,
    pytest.mark.skipif(not os.environ.get("SYSTOLITH_ZOO"), reason="SYSTOLITH_ZOO does not name a folder of networks"),
]

Array = NDArray[Any]


@dataclass(frozen=True)
class Case:
    """What a network is calibrated with and judged on."""

    calibration: Array
    samples: Array
    labels: Array
    known_labels: Array | None = None
    """Of the calibration samples."""


def _data(name: str) -> dict[str, Array]:
    with np.load(ZOO / "data" / f"{name}.npz") as data:
        return {key: data[key] for key in data.files}


def _images(values: Array) -> Array:
    return np.moveaxis(values, 3, 1).astype(np.float32)


def _resnet8() -> Case:
    known, test = _data("cifar10_train_lossless"), _data("cifar10_eval_lossless")
    return Case(_images(known["x"][:200]), _images(test["x"]), test["y"], known["y"][:200])


def _ds_cnn() -> Case:
    """The last rows calibrate; all 800 are judged, as the float network's figure is of all."""
    data = _data("kws")
    x = ((data["x_int8"].astype(np.float32) - 83) * np.float32(0.5847029))[:, None]
    return Case(x[700:], x, data["y"], data["y"][700:])


def _ds_cnn_held_out() -> Case:
    case = _ds_cnn()
    return replace(case, samples=case.samples[:700], labels=case.labels[:700])


def _str_ww() -> Case:
    data = _data("str_ww_calib")
    return Case(data["x"], data["x"], data["y"])


CASES: dict[str, Callable[[], Case]] = {"resnet8": _resnet8, "ds_cnn": _ds_cnn, "str_ww": _str_ww}
HELD_OUT: dict[str, Callable[[], Case]] = {"resnet8": _resnet8, "ds_cnn": _ds_cnn_held_out}
LEAST = {"resnet8": 0.884, "ds_cnn": 0.908, "str_ww": 41 / 45}


def _source(name: str) -> Graph:
    return legalise(import_network(ZOO / "float" / f"{name}.onnx"), tables=False)


def _integers(made: Quantised, samples: Array) -> Array:
    network = simplify(made.network)
    return integer_outputs(network, {network.inputs[0]: samples}, made.config)[network.outputs[0]]


def _top1(outputs: Array, labels: Array) -> float:
    return float((outputs.reshape(len(outputs), -1).argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_zoo) for name in CASES])
def test_eight_bits_keep_the_accuracy(name: str) -> None:
    source, case = _source(name), CASES[name]()
    made = quantise_float(source, {source.inputs[0]: case.calibration}, QuantiseConfig())
    assert _top1(_integers(made, case.samples), case.labels) >= LEAST[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=needs_zoo) for name in HELD_OUT])
def test_four_bits_where_the_search_chooses_keep_the_accuracy(name: str) -> None:
    """Within one and a half points with 60 % of the bytes at most, on samples that the search has not seen."""
    source, case = _source(name), HELD_OUT[name]()
    known = {source.inputs[0]: case.calibration[:100]}
    labels = None if case.known_labels is None else case.known_labels[:100]
    made = quantise_float(source, known, QuantiseConfig(), Allowance(max_drop=1.5), labels)
    assert made.decisions["weight_bytes"] <= 0.6 * made.decisions["search"]["bytes_before"]
    as_float = _top1(float_outputs(source, {source.inputs[0]: case.samples})[source.outputs[0]], case.labels)
    assert as_float >= 0.89
    assert _top1(_integers(made, case.samples), case.labels) >= as_float - 0.015


def _visual_wake_words() -> Array:
    return _images(_data("vww_samples")["x"]) / 255


def _other_images() -> Array:
    """Photographs and clothes, as many of each, in the network's size and range: (N, 3, 96, 96)."""
    photographs, clothes = (
        _data("cifar10_eval_lossless")["x"][:40],
        np.repeat(_data("fashion_mnist")["x_test"][:40, ..., None], 3, axis=3),
    )
    return np.concatenate([_resized(_images(each) / 255, 96) for each in (photographs, clothes)])


def _resized(images: Array, size: int) -> Array:
    """To the nearest of the pixels."""
    rows, columns = (np.arange(size) * length // size for length in images.shape[2:])
    return images[:, :, rows[:, None], columns]


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("mobilenet_v1_025", marks=needs_zoo)])
def test_a_depthwise_network_answers_as_in_float(name: str) -> None:
    """On half of the samples shipped, the other half calibrates, and on images of other kinds."""
    source, shipped = _source(name), _visual_wake_words()
    made = quantise_float(source, {source.inputs[0]: shipped[::2]}, QuantiseConfig())
    samples = np.concatenate([shipped[1::2], _other_images()])
    exact = float_outputs(source, {source.inputs[0]: samples})[source.outputs[0]]
    assert len(set(classes(exact))) == 2
    assert _top1(_integers(made, samples), classes(exact)) >= 0.95


@pytest.mark.parametrize("name", [pytest.param("ad_autoencoder", marks=needs_zoo)])
def test_the_autoencoder_s_reconstruction_error_stays(name: str) -> None:
    """Inputs over the range that the network was made for, -67 to 2 dB."""
    source, rng = _source(name), np.random.default_rng(0)
    known, samples = (rng.uniform(-67, 2, (count, 640)).astype(np.float32) for count in (100, 300))
    made = quantise_float(source, {source.inputs[0]: known}, QuantiseConfig())
    exact = float_outputs(source, {source.inputs[0]: samples})[source.outputs[0]]
    errors = [float(((outputs - samples) ** 2).mean()) for outputs in (exact, _integers(made, samples))]
    assert errors[1] == pytest.approx(errors[0], rel=0.02)


@pytest.mark.parametrize("name", ["digits_cnn", "digits_mlp"])
@pytest.mark.parametrize("allowance", [None, Allowance(max_drop=0.5)], ids=["8 bits", "auto"])
def test_digits_keep_their_accuracy(name: str, allowance: Allowance | None) -> None:
    source, (images, labels) = import_network(network_file(name)), digits_test()
    made = quantise_float(source, load_samples(DIGITS, source), QuantiseConfig(), allowance)
    as_float = _top1(float_outputs(source, {source.inputs[0]: images})[source.outputs[0]], labels)
    drop = as_float - _top1(_integers(made, images), labels)
    assert drop <= (0.005 if allowance is None else 0.015)
    if allowance is not None:
        assert made.decisions["weight_bytes"] <= 0.6 * made.decisions["search"]["bytes_before"]
