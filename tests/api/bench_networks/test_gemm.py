# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.api.bench_networks.gemm import gemm
from tests.support.onnx_layers import layers_of, macs_of


@pytest.mark.parametrize("size", [64, 128, 256])
def test_the_cube_of_its_size(size: int) -> None:
    model = gemm(size).model
    (layer,) = layers_of(model)
    assert (layer.op, layer.weights) == ("Conv", (size, size, 1, 1))
    assert macs_of(model) == size**3
