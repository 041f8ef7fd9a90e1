# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from systolith.compiler.errors import CapacityError
from systolith.compiler.ir import Graph, Node, QParams
from systolith.compiler.lower import lower
from systolith.compiler.overlap import overlap
from systolith.spec import link
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.encoding import decode_program
from systolith.spec.isa import Op
from systolith.spec.link import Space
from tests.support.networks import NetworkBuilder, resnet8

ARCH = PRESETS["8x8"]


def _network() -> Graph:
    """Matrix, vector, matrix, with tiles."""
    net = NetworkBuilder(rng=np.random.default_rng(0))
    x = net.layer(net.input(3, 16, 16), 16, pad=(1, 1, 1, 1))
    return net.graph("net", net.layer(net.average(x), 10, (1, 1)))


def test_each_descriptor_names_the_next_ones_weights() -> None:
    program = lower(_network(), ARCH.with_(acc_depth=128))
    made = decode_program(program.segments[Space.PROGRAM], program.arch)
    assert [one.op for one in made] == [Op.MATRIX, Op.MATRIX, Op.VECTOR, Op.MATRIX]
    dense = 2 * 6 * program.arch.pass_lines
    assert [one.weights_next for one in made] == [0, dense, 0, 0]


def test_weights_are_stored_in_consumption_order() -> None:
    graph = _network()
    program = lower(graph, ARCH)
    words = np.array(program.segments[Space.WEIGHTS], np.uint32).reshape(-1, link.line_words(Space.WEIGHTS, ARCH))
    line = link.unpack_line(words[ARCH.pass_lines].tolist(), 8, 16)
    weight = graph.constant("t1.weight")
    # pass 1 of the first block and kernel row begins with element 8 of the run: tap 2, channel 2
    assert line[:8] == weight[:8, 2, 0, 2].tolist()
    assert line[8:] == [0] * 8


WIDE = ARCH.with_(name="wide", narrow_weights=False, dynamic_weights=False)


def _mixed(*bits: int) -> Graph:
    """A pool, then dense layers of so many bits; the last one in two tiles of 9 pixels."""
    net = NetworkBuilder(rng=np.random.default_rng(1))
    x = net.pool(net.input(8, 6, 6))
    for width in bits:
        x = net.layer(x, 8, (1, 1), weight_bits=width)
    return net.graph("mixed", x)


def test_each_descriptor_names_the_width_of_its_and_the_next_ones_weights() -> None:
    program = lower(_mixed(4, 8, 2), ARCH)
    made = decode_program(program.segments[Space.PROGRAM], ARCH)
    assert [one.op for one in made] == [Op.VECTOR, *[Op.MATRIX] * 3]
    # the first descriptor says what the first weights are
    assert [one.narrow for one in made] == [1, 1, 0, 2]
    assert [one.narrow_next for one in made[1:]] == [0, 2, 1]
    # a pass is of 4 lines
    assert [one.weights_next for one in made[1:]] == [2, 2 + 4, 0]
    assert [(layer.weight_bits, layer.weight_bytes) for layer in program.layers] == [(0, 0), (4, 32), (8, 64), (2, 16)]
    assert program.notes["memory"]["weights"]["lines"] == 2 + 4 + 1


def test_narrow_weights_are_stored_with_full_width_where_the_engine_knows_no_other() -> None:
    graph = _mixed(4, 8, 2)
    program = lower(graph, WIDE)
    assert [(layer.weight_bits, layer.weight_bytes) for layer in program.layers] == [(0, 0), *[(8, 64)] * 3]
    plain = {key: value for key, value in graph.nodes[1].attributes.items() if key != "weight_bits"}
    unsaid = graph.with_(nodes=(graph.nodes[0], replace(graph.nodes[1], attributes=plain), *graph.nodes[2:]))
    # what is said is a promise; what is stored follows from the integers
    assert lower(unsaid, ARCH).segments == lower(graph, ARCH).segments


def test_tiles_share_narrow_weights() -> None:
    net = NetworkBuilder(rng=np.random.default_rng(1))
    graph = net.graph("tiles", net.layer(net.input(8, 6, 6), 8, pad=(1, 1, 1, 1), weight_bits=4))
    arch = ARCH.with_(acc_depth=8)
    made = decode_program(lower(graph, arch).segments[Space.PROGRAM], arch)
    assert len(made) > 1
    assert {(one.narrow, one.narrow_next, one.weights_next) for one in made} == {(1, 1, 0)}


@pytest.mark.parametrize(
    ("arch", "help_"),
    [
        (ARCH, "4-bit or 2-bit weights in some layers"),
        (WIDE, "narrow_weights=true and 4-bit weights in some layers"),
        (WIDE.with_(weight_bits=10), "weights of fewer bits"),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_what_helps(arch: Arch, help_: str) -> None:
    with pytest.raises(
        CapacityError, match=f"weights memory: .* too many; .* what helps: weight_lines=.*, {help_}, or"
    ):
        lower(_mixed(8, 8), arch.with_(weight_lines=4))


def test_parameters_follow_each_other_and_start_where_descriptors_say() -> None:
    program = lower(_network(), ARCH)
    made = decode_program(program.segments[Space.PROGRAM], ARCH)
    assert [one.param_base for one in made] == [0, 2, 4]
    assert len(program.segments[Space.PARAMS]) == 6 * link.line_words(Space.PARAMS, ARCH)


def test_layers_and_notes_are_reported() -> None:
    program = lower(_network(), ARCH)
    assert [(layer.name, layer.kind, layer.first, layer.count) for layer in program.layers] == [
        ("conv0", "Conv+Relu", 0, 1),
        ("pool1", "GlobalAveragePool", 1, 1),
        ("conv2", "Conv+Relu", 2, 1),
    ]
    assert [layer.macs for layer in program.layers] == [256 * 16 * 27, 0, 160]
    assert [layer.weight_bytes for layer in program.layers] == [12 * 64, 0, 4 * 64]
    memory = json.loads(json.dumps(program.notes))["memory"]
    assert memory["weights"] == {"lines": 64, "of": ARCH.weight_lines}
    assert memory["activations"]["lower_bound"] <= memory["activations"]["elements"]
    assert (memory["params"]["lines"], memory["program"]["lines"]) == (6, 3 * 32 + 2)


def test_tensor_maps_carry_shape_and_quantisation() -> None:
    graph = _network()
    tensors = {**graph.tensors, "x0": replace(graph.tensors["x0"], qparams=QParams(0.25, -3, unsigned=True))}
    program = lower(graph.with_(tensors=tensors, integer_io=frozenset({"x0"})), ARCH)
    (x,), (y,) = program.inputs, program.outputs
    assert (x.shape, x.channel_pitch, x.row_pitch) == ((1, 3, 16, 16), 3, 48)
    assert (x.scale, x.zero_point, x.unsigned, x.float_io, y.float_io) == (0.25, -3, True, False, True)
    assert (y.shape, y.channels, y.channel_pitch) == ((1, 10, 1, 1), 10, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_lines": 4096}, "weights memory: 4880 lines are needed, .*8x8' has 4096, 784 too many; .*'conv8'"),
        (
            {"weight_lines": 4096},
            "weight_lines=4880, 4-bit or 2-bit weights in some layers, or a larger arch such as 'ulx3s-85f'",
        ),
        ({"param_lines": 32}, "params memory: 52 lines are needed, .* 20 too many; .*param_lines=52"),
        ({"program_words": 128}, "program memory: 450 lines are needed.*'conv0'.*acc_depth"),
        ({"acc_depth": 8, "dim_bits": 4}, "program memory: .*'conv0'"),
    ],
)
def test_what_does_not_fit_is_refused_with_numbers(changes: dict[str, int], message: str) -> None:
    with pytest.raises(CapacityError, match=message):
        lower(resnet8(), ARCH.with_(**changes))


def test_windows_off_the_granule_are_refused() -> None:
    net = NetworkBuilder(rng=np.random.default_rng(0))
    graph = net.graph("pool", net.average(net.input(4, 4, 4)))
    arch = Arch(name="8x2", rows=8, cols=2, act_granule=4)
    with pytest.raises(
        CapacityError, match=r"'pool0' \(QPool\): its windows start off the multiples of 4 .*rows and cols"
    ):
        lower(graph, arch)
    lower(graph, arch.with_(act_granule=2))


def test_descriptors_leave_with_what_overlap_promises() -> None:
    """Where each may begin is settled for the whole program, once its order is."""
    arch = ARCH.with_(acc_depth=128)
    made = decode_program(lower(_network(), arch).segments[Space.PROGRAM], arch)
    assert overlap(made, arch) == made
    assert made[0].lead == 0 < made[1].lead
    assert [one.apart for one in made] == [True] * 4


def test_coordinates_beyond_their_field_are_refused() -> None:
    net = NetworkBuilder(rng=np.random.default_rng(0))
    graph = net.graph("far", net.layer(net.input(1, 4, 8), 1, (13, 8), pad=(9, 0, 0, 0)))
    with pytest.raises(CapacityError, match=r"'conv0' \(QConv\): coordinates reach -72..31, arch 'tiny' counts -64.."):
        lower(graph, PRESETS["tiny"].with_(act_lines=32))


def test_tensors_are_noted_by_layer() -> None:
    """A view is no layer: what comes after it is numbered on."""
    net = NetworkBuilder(rng=np.random.default_rng(0))
    conv = net.layer(net.input(3, 8, 8), 8, pad=(1, 1, 1, 1))
    graph = net.graph("net", net.layer(net.average(conv), 10, (1, 1)))
    first, pool, last = graph.nodes
    view = Node("View", "same", pool.outputs, ("view",))
    tensors = {**graph.tensors, "view": replace(graph.tensors[pool.outputs[0]], name="view")}
    graph = graph.with_(nodes=(first, pool, view, replace(last, inputs=("view",))), tensors=tensors)
    program = lower(graph, ARCH)
    noted = {tensor["name"]: tensor for tensor in program.notes["tensors"]}
    lives = {name: (tensor["first_layer"], tensor["last_layer"]) for name, tensor in noted.items()}
    made = [layer.output for layer in program.layers]
    assert lives == {
        program.inputs[0].name: (-1, 0),
        made[0].name: (0, 1),
        made[1].name: (1, 2),
        made[2].name: (2, 3),
    }
    for tensor in (*program.inputs, *made):
        assert (noted[tensor.name]["base"], noted[tensor.name]["elements"]) == (tensor.base, tensor.elements)
