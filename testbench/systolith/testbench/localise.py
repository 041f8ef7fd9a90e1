# SPDX-License-Identifier: Apache-2.0
"""From a differing store or tensor element to the place a person can look at: layer, tile, element, cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from systolith.spec.image import LayerInfo, Program, TensorMap
from systolith.testbench.isa_model import StoreTrace, read_tensor
from systolith.testbench.job import StoreLog
from systolith.testbench.scoreboard import compare_stores, compare_tensors

__all__ = ["Place", "find_layer", "layer_outputs", "locate_layer", "locate_store"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where two back ends first differ."""

    layer: str
    """The layer's ONNX node; empty if no layer has the descriptor."""
    tile: int
    """Descriptor within the layer, from 0."""
    descriptor: int
    """Descriptor within the program, from 0."""
    element: tuple[int, int, int] | None
    """(y, x, channel) of the layer's output; None where the address is outside of it."""
    address: int | None
    """Element address in the activation memory."""
    expected: int | None
    """None: nothing was expected."""
    got: int | None
    """None: it never came."""
    cycle: int | None = None
    """Clock cycle of the simulation; None where only models are compared."""
    note: str = ""

    def __str__(self) -> str:
        """One line for people."""
        where = f"layer {self.layer!r}, tile {self.tile} (descriptor {self.descriptor})"
        element = f"element (y, x, c) = {self.element}" if self.element else f"address {self.address}"
        when = "" if self.cycle is None else f", cycle {self.cycle}"
        values = f"expected {_shown(self.expected)}, got {_shown(self.got)}"
        return f"{where}, {element}{when}: {values}" + (f" ({self.note})" if self.note else "")


def _shown(value: int | None) -> str:
    return "nothing" if value is None else str(value)


def find_layer(program: Program, descriptor: int) -> LayerInfo | None:
    """The layer that a descriptor belongs to."""
    for layer in program.layers:
        if layer.first <= descriptor < layer.first + layer.count:
            return layer
    return None


def _element(tensor: TensorMap, address: int) -> tuple[int, int, int] | None:
    y, rest = divmod(address - tensor.base, tensor.row_pitch)
    x, channel = divmod(rest, tensor.channel_pitch)
    inside = 0 <= y < tensor.height and x < tensor.width and channel < tensor.channels
    return (y, x, channel) if inside else None


def locate_store(program: Program, expected: Sequence[StoreTrace], got: StoreLog) -> Place | None:
    """The first store in which the hardware differs from the ISA model; None if all are equal.

    Args:
        program: what was run.
        expected: the model's stores, one trace a descriptor, in order.
        got: the hardware's stores of the same inference.
    """
    found = compare_stores(expected, got)
    if found is None:
        return None
    layer = find_layer(program, found.descriptor)
    address = found.got_address if found.expected_address is None else found.expected_address
    astray = None not in (found.expected_address, found.got_address) and found.expected_address != found.got_address
    return Place(
        layer=layer.name if layer else "",
        tile=found.descriptor - layer.first if layer else found.descriptor,
        descriptor=found.descriptor,
        element=_element(layer.output, address) if layer and address is not None else None,
        address=address,
        expected=found.expected,
        got=found.got,
        cycle=found.cycle,
        note=f"stored at address {found.got_address} instead of {found.expected_address}"
        if astray
        else _row(address, program),
    )


def _row(address: int | None, program: Program) -> str:
    """Where an address lies that is not one of the activation memory."""
    row = (address or 0) - (1 << program.arch.act_addr_bits)
    return "" if row < 0 else f"row {row} of the weight memory"


def layer_outputs(program: Program, traces: Sequence[StoreTrace]) -> dict[str, Ints]:
    """Each layer's output tensor as the stores up to its last left it, by tensor name, in network shape, int64.

    Parts of a tensor may be stored by the layers before.
    """
    outputs = {}
    # behind the activations lie rows of weights, which are of no tensor
    memory = np.zeros((1 << program.arch.store_addr_bits) + program.arch.cols, dtype=np.int64)
    for layer in program.layers:
        for trace in traces[layer.first : layer.first + layer.count]:
            lanes = np.arange(trace.data.shape[1])
            memory[(trace.addresses[:, None] + lanes).ravel()] = trace.data.ravel()
        outputs[layer.output.name] = read_tensor(memory, layer.output)
    return outputs


def _tile_of(traces: Sequence[StoreTrace], layer: LayerInfo, address: int) -> int:
    """The tile of a layer that stored an address last; its first tile if none did."""
    tile = 0
    for trace in traces[layer.first : layer.first + layer.count]:
        offsets = address - trace.addresses
        if ((offsets >= 0) & (offsets < trace.data.shape[1])).any():
            tile = trace.descriptor - layer.first
    return tile


def locate_layer(program: Program, reference: Mapping[str, Ints], traces: Sequence[StoreTrace]) -> Place | None:
    """The first layer, in program order, whose output in the ISA model differs from the integer reference.

    ``reference`` holds tensors by name in network shape; layers whose output is not among them are passed over.
    """
    outputs = layer_outputs(program, traces)
    for layer in program.layers:
        name = layer.output.name
        found = compare_tensors(reference[name], outputs[name]) if name in reference else None
        if found is not None:
            return _layer_place(layer, traces, found.index, found.expected, found.got)
    return None


def _layer_place(
    layer: LayerInfo, traces: Sequence[StoreTrace], index: tuple[int, ...], expected: int, got: int
) -> Place:
    tensor = layer.output
    channel, y, x = (*index[1:], 0, 0)[:3]
    address = tensor.base + y * tensor.row_pitch + x * tensor.channel_pitch + channel
    tile = _tile_of(traces, layer, address)
    return Place(
        layer=layer.name,
        tile=tile,
        descriptor=layer.first + tile,
        element=(y, x, channel),
        address=address,
        expected=expected,
        got=got,
    )
