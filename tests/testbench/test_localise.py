# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from systolith.spec.arch import PRESETS
from systolith.spec.image import Program
from systolith.testbench.isa_model import IsaModel, StoreTrace, write_tensor
from systolith.testbench.job import StoreLog
from systolith.testbench.localise import find_layer, layer_outputs, locate_layer, locate_store
from systolith.testbench.verify import Sample
from tests.support.programs import random_case
from tests.support.random_graphs import random_network

SEED = 3
ARCH = PRESETS["4x4"]


@pytest.fixture(scope="module")
def case() -> tuple[Program, Sample, list[StoreTrace]]:
    """A network of several layers with its stores in the ISA model."""
    program, samples = random_case(SEED, ARCH, count=1, make=random_network)
    model = IsaModel(program)
    for tensor in program.inputs:
        write_tensor(model.activations, tensor, samples[0].inputs[tensor.name])
    return program, samples[0], list(model.stores())


def as_log(traces: list[StoreTrace]) -> StoreLog:
    addresses = np.concatenate([trace.addresses for trace in traces])
    data = np.concatenate([trace.data for trace in traces])
    return StoreLog(np.arange(1000, 1000 + len(addresses)), addresses.copy(), data.copy())


def test_the_layer_of_a_descriptor(case: tuple[Program, Sample, list[StoreTrace]]) -> None:
    program = case[0]
    for layer in program.layers:
        for descriptor in range(layer.first, layer.first + layer.count):
            assert find_layer(program, descriptor) is layer
    assert find_layer(program, len(case[2])) is None


def test_equal_stores_have_no_place(case: tuple[Program, Sample, list[StoreTrace]]) -> None:
    program, _, traces = case
    assert locate_store(program, traces, as_log(traces)) is None


def test_a_wrong_value_names_layer_tile_element_and_cycle(case: tuple[Program, Sample, list[StoreTrace]]) -> None:
    program, _, traces = case
    layer = program.layers[1]
    tensor = layer.output
    y, x, channel = tensor.height - 1, tensor.width - 1, tensor.channels - 1
    address = tensor.base + y * tensor.row_pitch + x * tensor.channel_pitch + channel
    log, before = as_log(traces), sum(len(trace.addresses) for trace in traces[: layer.first])
    lane = address % ARCH.cols
    count = sum(len(trace.addresses) for trace in traces[layer.first : layer.first + layer.count])
    step = before + int(np.flatnonzero(log.addresses[before : before + count] == address - lane)[-1])
    log.data[step, lane] += 1
    place = locate_store(program, traces, log)
    assert place is not None
    assert (place.layer, place.element, place.cycle) == (layer.name, (y, x, channel), 1000 + step)
    assert place.got == (place.expected or 0) + 1
    assert layer.first + place.tile == place.descriptor
    assert str(place).startswith(f"layer {layer.name!r}, tile {place.tile} (descriptor {place.descriptor}), element")


def test_a_store_gone_astray(case: tuple[Program, Sample, list[StoreTrace]]) -> None:
    program, _, traces = case
    log = as_log(traces)
    log.addresses[2] += ARCH.line
    place = locate_store(program, traces, log)
    assert place is not None
    assert place.note == f"stored at address {log.addresses[2]} instead of {log.addresses[2] - ARCH.line}"


def test_a_missing_and_a_surplus_store(case: tuple[Program, Sample, list[StoreTrace]]) -> None:
    program, _, traces = case
    log = as_log(traces)
    missing = locate_store(program, traces, log[:-1])
    assert "got nothing" in str(missing)
    more = [*traces, StoreTrace(0, traces[0].addresses[:1], traces[0].data[:1])]
    surplus = locate_store(program, traces, as_log(more))
    assert "expected nothing" in str(surplus)
    assert surplus is not None
    assert surplus.layer == program.layers[-1].name


def test_layer_outputs_are_the_references(case: tuple[Program, Sample, list[StoreTrace]]) -> None:
    program, sample, traces = case
    outputs = layer_outputs(program, traces)
    assert set(outputs) == {layer.output.name for layer in program.layers}
    for name, tensor in outputs.items():
        assert np.array_equal(tensor, sample.layers[name])


def test_the_first_wrong_layer_is_named(case: tuple[Program, Sample, list[StoreTrace]]) -> None:
    program, sample, traces = case
    reference = {name: tensor.copy() for name, tensor in sample.layers.items()}
    for layer in program.layers[1:]:
        reference[layer.output.name].flat[-1] += 1
    place = locate_layer(program, reference, traces)
    tensor = program.layers[1].output
    assert place is not None
    assert place.layer == program.layers[1].name
    assert place.element == (tensor.height - 1, tensor.width - 1, tensor.channels - 1)
    assert place.cycle is None


def test_layers_without_reference_are_passed_over(case: tuple[Program, Sample, list[StoreTrace]]) -> None:
    program, _, traces = case
    assert locate_layer(program, {}, traces) is None
