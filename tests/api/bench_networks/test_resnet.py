# SPDX-License-Identifier: Apache-2.0
from collections import Counter

from systolith.api.bench_networks.resnet import resnet8, resnet20
from tests.support.onnx_layers import layers_of, macs_of


def test_resnet8() -> None:
    assert macs_of(resnet8().model) == 12_501_632


def test_resnet20_has_three_blocks_a_stage() -> None:
    model = resnet20().model
    operators = Counter(layer.op for layer in layers_of(model))
    assert operators == {"Conv": 21, "Relu": 19, "Add": 9, "AveragePool": 1, "Flatten": 1, "Gemm": 1, "Softmax": 1}
    assert macs_of(model) == 40_813_184
    assert layers_of(model)[-4].output == (1, 64, 1, 1)
