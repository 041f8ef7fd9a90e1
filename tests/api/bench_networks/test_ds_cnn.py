# SPDX-License-Identifier: Apache-2.0
from systolith.api.bench_networks.ds_cnn import ds_cnn
from tests.support.onnx_layers import layers_of, macs_of


def test_ds_cnn() -> None:
    model = ds_cnn().model
    assert macs_of(model) == 2_656_768
    assert [layer.window["group"] for layer in layers_of(model) if layer.op == "Conv"] == [1, *[64, 1] * 4]
