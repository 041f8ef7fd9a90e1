# SPDX-License-Identifier: Apache-2.0
"""Networks with several things in them that cannot be compiled."""

from __future__ import annotations

import numpy as np
import onnx

from systolith.compiler.frontend.onnx_file import infer_shapes

from .float_models import ModelBuilder
from .qdq_models import QdqModel

__all__ = ["FAULTY_FLOAT", "FAULTY_QDQ", "faulty_float", "faulty_qdq"]

FAULTY_FLOAT = {
    "norm": "operator LpNormalization is not supported",
    "hard": "operator Hardmax is not supported",
    "turned": "it turns [1, 8] into [8, 1]",
    "soft": "it is not one of the network's last operators",
}
"""Problems of :func:`faulty_float` by node."""

FAULTY_QDQ = {
    "conv8": "its weights are not quantised",
    "add15": "tensor 'conv14_out' is not quantised",
    "quantizelinear21": "an activation with 4 scales",
}
"""Problems of :func:`faulty_qdq` by node."""


def faulty_float() -> onnx.ModelProto:
    """Operators nobody knows, a Reshape over the batch, and a Softmax in the middle."""
    net = ModelBuilder((1, 4, 8, 8))
    x = net.add("LpNormalization", net.conv("input", 8, 4, 3, 3), name="norm")
    x = net.add("Softmax", net.conv(x, 8, 8, 3, 3), name="soft", axis=1)
    x = net.add("Hardmax", net.conv(x, 8, 8, 1, 1), name="hard")
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    turned = net.add("Reshape", x, net.constant([8, 1], np.int64), name="turned")
    product = net.add("MatMul", x, turned, name="product")
    logits = net.add("Gemm", x, net.weights(5, 8), net.weights(5), name="fc", transB=1)
    return infer_shapes(net.model(product, logits))


def faulty_qdq() -> onnx.ModelProto:
    """Float weights, an add of what is not quantised, and an activation with a scale for each channel."""
    net = QdqModel(1)
    x = net.real(net.node("Relu", net.conv(net.start(1, 3, 8, 8), 3, 4)), 0.1)
    x = net.node("Conv", x, net.constant(np.ones((4, 4, 1, 1), np.float32)))
    x = net.real(net.node("Relu", x), 0.1)
    x = net.real(net.node("Add", x, net.conv(x, 4, 4, 1)), 0.1)
    scale, zero = net.constant(np.full(4, 0.1, np.float32)), net.constant(np.zeros(4, np.int8))
    codes = net.node("QuantizeLinear", net.conv(x, 4, 4, 1), scale, zero)
    x = net.node("DequantizeLinear", codes, scale, zero)
    return net.model(net.real(net.conv(x, 4, 4, 1), 0.1))
