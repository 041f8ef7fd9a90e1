# SPDX-License-Identifier: Apache-2.0
from systolith.api.bench_networks.wakeword import streaming_wakeword
from tests.support.onnx_layers import layers_of, macs_of


def test_wakeword() -> None:
    model = streaming_wakeword().model
    assert macs_of(model) == 826_368
    depthwise = [layer for layer in layers_of(model) if layer.op == "Conv" and layer.window["group"] > 1]
    assert [layer.window["kernel"] for layer in depthwise] == [[3, 1], [5, 1], [10, 1], [15, 1]]
