# SPDX-License-Identifier: Apache-2.0
"""Integer-level graphs of well-known shapes with random weights, for sizes and times rather than for accuracy."""

from __future__ import annotations

import numpy as np

from systolith.compiler.ir import AddAttributes, Graph, Node, QParams, Tensor

from .graph_builder import GraphBuilder

__all__ = ["NetworkBuilder", "autoencoder", "resnet8"]


class NetworkBuilder(GraphBuilder):
    """Convolutions with given windows; everything else as in the random builder."""

    def layer(
        self,
        name: str,
        outputs: int,
        kernel: tuple[int, int] = (3, 3),
        *,
        stride: int = 1,
        pad: tuple[int, int, int, int] = (0, 0, 0, 0),
        residual: str | None = None,
        group: int = 1,
        weight_bits: int | None = None,
    ) -> str:
        """A convolution with relu; with ``residual`` the add comes before the relu.

        ``weight_bits`` are those of its integers, which it then says; they are 8 without.
        """
        inputs, height, width = self.map_size(name)
        output = f"t{len(self.tensors)}"
        size = tuple(
            (length + pad[axis] + pad[axis + 2] - kernel[axis]) // stride + 1
            for axis, length in enumerate((height, width))
        )
        top = (1 << ((weight_bits or 8) - 1)) - 1
        weight = self.rng.integers(-top, top + 1, (outputs, inputs // group, *kernel))
        self.tensors[output] = Tensor(output, (1, outputs, *size), QParams(0.05, -128))
        self.constants |= {
            f"{output}.weight": weight,
            f"{output}.bias": self.rng.integers(-5000, 5000, outputs),
            f"{output}.factor": np.full(outputs, 60 / (73 * 73 * np.sqrt(weight[0].size)) * (127 / top)),
        }
        add = {} if residual is None else {"add": AddAttributes(0.5, 0.5, 0, 255)}
        bits = {} if weight_bits is None else {"weight_bits": weight_bits}
        attributes = {
            **{part: f"{output}.{part}" for part in ("weight", "bias", "factor")},
            "kernel": kernel,
            "strides": (stride, stride),
            "pads": pad,
            "dilations": (1, 1),
            "group": group,
            "lo": 0 if residual is None else -128,
            "hi": 255 if residual is None else 127,
            **add,
            **bits,
        }
        operands = (name,) if residual is None else (name, residual)
        self.nodes.append(Node("QConv", f"conv{len(self.nodes)}", operands, (output,), attributes, ("Conv", "Relu")))
        return output

    def average(self, name: str) -> str:
        """Global average pooling."""
        channels, height, width = self.map_size(name)
        output = f"t{len(self.tensors)}"
        self.tensors[output] = Tensor(output, (1, channels, 1, 1), QParams(0.05, -128))
        window = {"kernel": (height, width), "strides": (1, 1), "pads": (0, 0, 0, 0), "count_include_pad": True}
        attributes = {"mode": "average", **window, "factor": 1.0, "lo": 0, "hi": 255}
        self.nodes.append(
            Node("QPool", f"pool{len(self.nodes)}", (name,), (output,), attributes, ("GlobalAveragePool",))
        )
        return output


def resnet8(seed: int = 0) -> Graph:
    """The MLPerf Tiny image classifier: 12.5 million MACs on 32 x 32 x 3."""
    net = NetworkBuilder(rng=np.random.default_rng(seed))
    same, half = (1, 1, 1, 1), (0, 0, 1, 1)
    x = net.layer(net.input(3, 32, 32), 16, pad=same)
    x = net.layer(net.layer(x, 16, pad=same), 16, pad=same, residual=x)
    for channels in (32, 64):
        skip = net.layer(x, channels, (1, 1), stride=2)
        x = net.layer(net.layer(x, channels, stride=2, pad=half), channels, pad=same, residual=skip)
    return net.graph("resnet8", net.layer(net.average(x), 10, (1, 1)))


def autoencoder(seed: int = 0) -> Graph:
    """The MLPerf Tiny anomaly detector: ten dense layers, 264 thousand MACs."""
    net = NetworkBuilder(rng=np.random.default_rng(seed))
    x = net.input(640, 1, 1)
    for channels in (*[128] * 4, 8, *[128] * 4, 640):
        x = net.layer(x, channels, (1, 1))
    return net.graph("autoencoder", x)
