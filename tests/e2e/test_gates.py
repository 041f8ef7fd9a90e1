# SPDX-License-Identifier: Apache-2.0
"""Products of two computed tensors, from ONNX to RTL: squeeze and excite, a gate by pixel, one for each element."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from systolith.api.flow import Compiled, compile
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import decode_program
from systolith.spec.link import Space
from tests.support.float_models import ModelBuilder
from tests.support.rtl import assert_rtl_is_exact
from tests.support.simulators import needs

SEED = 6
SHAPE = (1, 3, 9, 9)


def compiled_for(arch: str | Arch, folder: Path) -> Compiled:
    b = ModelBuilder(SHAPE, seed=SEED)
    x = b.add("Relu", b.conv("input", 10, 3, 3, 3))
    squeezed = b.add("Relu", b.conv(b.add("GlobalAveragePool", x), 4, 10, 1, 1))
    by_channel = b.add("Mul", x, b.add("HardSigmoid", b.conv(squeezed, 10, 4, 1, 1)))
    by_pixel = b.add("Mul", b.conv(by_channel, 1, 10, 3, 3, pads=(1, 1, 1, 1)), by_channel)
    by_element = b.add("Mul", by_pixel, b.conv(x, 10, 10, 1, 1))
    scores = b.add("Gemm", b.add("Flatten", b.add("GlobalAveragePool", by_element)), b.weights(10, 5), b.weights(5))
    model, data = b.save(folder / "model.onnx", scores), folder / "data.npz"
    np.savez(data, input=np.random.default_rng(SEED).normal(0, 1, (32, *SHAPE[1:])).astype(np.float32))
    return compile(model, arch, data)


def test_every_product_is_one_descriptor_and_reads_its_gate(tmp_path: Path) -> None:
    program = compiled_for("8x8", tmp_path).program
    made = decode_program(program.segments[Space.PROGRAM], program.arch)
    products = [one for one in made if one.product]
    assert [(one.res.x == 0, one.res.y == 0) for one in products] == [(True, True), (False, False), (False, False)]
    assert all(one.residual and not one.m_res for one in products)


@pytest.mark.sim
@pytest.mark.slow
@needs("verilator")
@pytest.mark.parametrize(
    "arch", [PRESETS["4x4"], PRESETS["8x8"], PRESETS["tiny"].with_(precision=2)], ids=lambda arch: arch.name
)
def test_rtl_is_exact(arch: Arch, tmp_path: Path) -> None:
    assert_rtl_is_exact(compiled_for(arch, tmp_path), tmp_path, SEED)
