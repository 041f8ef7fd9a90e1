# SPDX-License-Identifier: Apache-2.0
"""The bundled networks from their ONNX files to RTL that is verified bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from systolith.api.accuracy import float_classes, integer_classes, share_correct
from systolith.api.build_folder import BuildFolder
from systolith.api.bundled import DIGITS, digits_test, network_file
from systolith.api.checks import check
from systolith.api.flow import compile
from systolith.spec.arch import PRESETS, Arch
from tests.support.simulators import needs

SEED = 20
NETWORKS = ["digits_cnn", "digits_mlp"]


def _build(network: str, arch: str | Arch, folder: Path) -> BuildFolder:
    return compile(network_file(network), arch, DIGITS).write(folder / "build")


@pytest.mark.parametrize("network", NETWORKS)
def test_quantised_accuracy(network: str) -> None:
    compiled = compile(network_file(network), "8x8", DIGITS)
    inputs, labels = digits_test()
    assert len(labels) == 500
    as_float = share_correct(float_classes(compiled.source, inputs), labels)
    as_integers = share_correct(integer_classes(compiled.network, inputs, 32), labels)
    assert as_float >= (0.98 if network == "digits_cnn" else 0.95)
    assert abs(as_float - as_integers) <= 0.005


@pytest.mark.sim
@pytest.mark.slow
@needs("verilator")
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("arch", ["tiny", "4x4", "8x8", "16x16"])
def test_rtl_is_exact(network: str, arch: str, tmp_path: Path) -> None:
    figures = check(_build(network, arch, tmp_path), simulator="verilator", samples=2, randoms=2, seed=SEED)
    assert figures["findings"] == []
    assert (figures["real"], figures["random"], figures["elements"]) == (2, 2, 40)
    assert figures["stores"] > 0


WIDTHS = {
    "4-bit weights": PRESETS["tiny"].with_(name="w4", weight_bits=4, narrow_weights=False, dynamic_weights=False),
    "16-bit activations": PRESETS["tiny"].with_(name="a16", act_bits=16, tables=0, dynamic_weights=False, acc_bits=40),
}


@pytest.mark.sim
@pytest.mark.slow
@needs("verilator")
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("arch", WIDTHS.values(), ids=WIDTHS.keys())
def test_other_widths(network: str, arch: Arch, tmp_path: Path) -> None:
    figures = check(_build(network, arch, tmp_path), simulator="verilator", samples=1, randoms=1, seed=SEED)
    assert figures["findings"] == []
    assert figures["elements"] == 20
