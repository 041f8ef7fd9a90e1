# SPDX-License-Identifier: Apache-2.0
from systolith.api.bench_networks.autoencoder import ad_autoencoder
from tests.support.onnx_layers import layers_of, macs_of


def test_autoencoder() -> None:
    model = ad_autoencoder().model
    assert macs_of(model) == 264_192
    assert [layer.op for layer in layers_of(model)] == [*["Gemm", "Relu"] * 9, "Gemm"]
