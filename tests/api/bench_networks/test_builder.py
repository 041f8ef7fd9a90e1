# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from systolith.api.bench_networks.builder import SAMPLES, BenchModel, NetworkBuilder
from systolith.api.bench_networks.catalogue import NETWORKS
from systolith.api.flow import compile
from systolith.api.network import engine_batch
from systolith.compiler.interp_int import run_integer
from systolith.spec.arch import PRESETS
from tests.support.float_models import run_onnxruntime


def small(seed: int = 0) -> BenchModel:
    net = NetworkBuilder("small", (3, 8, 8), low=0, high=255, seed=seed)
    x = net.conv("input", 6, pads=(1, 1, 1, 1))
    x = net.add(x, net.depthwise(x, pads=(1, 1, 1, 1), relu=False))
    return net.model(net.softmax(net.gemm(net.flat_average(x), 4)))


def test_names_shapes_and_seeds() -> None:
    built = small()
    names = [node.name for node in built.model.graph.node]
    assert names == [
        *("conv1", "relu1", "conv2", "add1", "relu2"),
        *("averagepool1", "flatten1", "gemm1", "softmax1"),
    ]
    assert built.samples.shape == (SAMPLES, 3, 8, 8)
    assert small().model == built.model
    assert small(1).model != built.model


@pytest.mark.parametrize("seed", range(3))
def test_the_layers_compute_what_the_builder_scaled_them_on(seed: int) -> None:
    """Of the scaled layers onnxruntime, which knows nothing of it, finds mean and variance."""
    net = NetworkBuilder("scaled", (3, 9, 9), low=0, high=255, seed=seed)
    output = net.conv(net.conv("input", 6, stride=2, pads=(0, 0, 1, 1)), 5, (3, 1), relu=False)
    built = net.model(output)
    (values,) = run_onnxruntime(built.model, {"input": built.samples})
    means, deviations = values.mean(axis=(0, 2, 3)), values.std(axis=(0, 2, 3))
    np.testing.assert_allclose(deviations, 1, atol=1e-3)
    assert abs(means).max() < 1
    assert abs(means).max() > 0.01


def test_a_constant_channel_is_left_alone() -> None:
    net = NetworkBuilder("constant", (2, 4, 4), low=0, high=0)
    built = net.model(net.conv("input", 3, relu=False))
    (values,) = run_onnxruntime(built.model, {"input": built.samples})
    assert np.isfinite(values).all()


def _spread(build: Callable[[], BenchModel], folder: Path) -> tuple[list[float], list[float]]:
    """Of each tensor of the integer network on its samples: share of the two extremes, standard deviation."""
    built = build()
    onnx.save(built.model, folder / "net.onnx")
    np.savez(folder / "x.npz", x=built.samples)
    # memories of any size: only the integers matter
    arch = PRESETS["8x8"].with_(act_lines=1 << 16, weight_lines=1 << 17, param_lines=1 << 13)
    compiled = compile(folder / "net.onnx", arch, folder / "x.npz")
    names = [node.outputs[0] for node in compiled.network.nodes]
    batch = engine_batch(compiled.network, {name: samples[:4] for name, samples in compiled.samples.items()})
    values = run_integer(compiled.network, batch, acc_bits=arch.acc_bits, keep=names)
    saturated = [float(((tensor == 127) | (tensor == -128)).mean()) for tensor in values.values()]
    return saturated, [float(tensor.std()) for tensor in values.values()]


@pytest.mark.parametrize("name", [name for name in NETWORKS if not name.startswith("gemm")])
def test_activations_neither_die_nor_saturate(name: str, tmp_path: Path) -> None:
    saturated, deviations = _spread(NETWORKS[name].build, tmp_path)
    # about half of the values after a relu are 0, the lower extreme
    assert max(saturated) < 0.7
    assert min(deviations) > 8
