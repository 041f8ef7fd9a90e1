# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from array import array

import numpy as np
import pytest

from systolith.compiler.lower import lower
from systolith.compiler.runtime import (
    ResponseError,
    inference_words,
    load_words,
    pack_fields,
    pack_input,
    parse_response,
    response_count,
    unpack_fields,
    unpack_output,
)
from systolith.spec import link
from systolith.spec.arch import PRESETS
from systolith.spec.image import Program, TensorMap
from systolith.spec.link import Counter, Space
from tests.support.graph_builder import GraphBuilder, Limits

ARCH = PRESETS["4x4"]


def _tensor(**changes: object) -> TensorMap:
    fields: dict[str, object] = {"name": "x", "base": 8, "height": 2, "width": 3, "channels": 3, "channel_pitch": 4}
    fields |= {"row_pitch": 12, "shape": (1, 3, 2, 3), "scale": 1.0, "zero_point": 0}
    return TensorMap(**{**fields, **changes})  # type: ignore[arg-type]


def _program(act_bits: int = 8) -> Program:
    builder = GraphBuilder(rng=np.random.default_rng(1), limits=Limits(act_bits=act_bits))
    x = builder.input(3, 4, 5)
    graph = builder.graph("two", builder.conv(x), builder.requant(x))
    return lower(graph, ARCH.with_(act_bits=act_bits, acc_bits=48, tables=0, dynamic_weights=False))


def _feeds(program: Program) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]]:
    rng = np.random.default_rng(2)
    limit = 1 << (program.arch.act_bits - 1)
    return {tensor.name: rng.integers(-limit, limit, tensor.shape) for tensor in program.inputs}


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 8, 16, 31, 33])
def test_lines_agree_with_the_specification(bits: int) -> None:
    rng = np.random.default_rng(bits)
    values = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (5, 6))
    words = pack_fields([(values, bits)])
    assert words.tolist() == [link.pack_line(line, bits) for line in values.tolist()]
    assert np.array_equal(unpack_fields(words, bits, 6), values)


def test_several_fields_interleave_like_parameter_lines() -> None:
    bias, shift = np.array([[-3, 4]]), np.array([[5, 6]])
    (words,) = pack_fields([(bias, 8), (shift, 4)]).tolist()
    assert words == link.pack_line([(-3 & 0xFF) | 5 << 8, 4 | 6 << 8], 12)


@pytest.mark.parametrize("act_bits", [4, 8, 16])
def test_tensors_come_back_from_their_lines(act_bits: int) -> None:
    arch, tensor = ARCH.with_(act_bits=act_bits, tables=0, dynamic_weights=False), _tensor()
    limit = 1 << (act_bits - 1)
    values = np.random.default_rng(0).integers(-limit, limit, tensor.shape)
    words = pack_input(tensor, values, arch)
    assert words.shape == (6, link.line_words(Space.ACTIVATIONS, arch))
    assert words[1].tolist() == link.pack_line([*values[0, :, 0, 1].tolist(), 0], act_bits)
    assert np.array_equal(unpack_output(tensor, words, arch), values)


def test_inputs_lie_by_columns_and_in_blocks_and_are_padded_with_the_zero_point() -> None:
    values = np.arange(6).reshape(1, 1, 2, 3)
    fields = {"channels": 1, "shape": (1, 1, 2, 3), "zero_point": 9}
    columns = _tensor(channel_pitch=2, row_pitch=1, **fields)
    blocked = _tensor(channel_pitch=4, row_pitch=8, block=(2, 2), **fields)
    for tensor, order in ((columns, [0, 3, 1, 4, 2, 5, 9, 9]), (blocked, [0, 1, 3, 4, 2, 9, 5, 9])):
        words = pack_input(tensor, values, ARCH)
        assert unpack_fields(words, 8, ARCH.line).ravel().tolist() == order
        assert np.array_equal(unpack_output(tensor, words, ARCH), values)


def test_a_vector_is_a_single_pixel() -> None:
    tensor = _tensor(height=1, width=1, channels=6, channel_pitch=6, row_pitch=6, shape=(1, 6))
    values = np.arange(6).reshape(1, 6)
    words = pack_input(tensor, values, ARCH)
    assert words.tolist() == [[0x03020100], [0x0504]]
    assert np.array_equal(unpack_output(tensor, words, ARCH), values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((1, 3, 2, 2), np.int64), r"input 'x': expected shape \(1, 3, 2, 3\), got \(1, 3, 2, 2\)"),
        (np.full((1, 3, 2, 3), 128), r"input 'x': expected -128..127, got 128..128"),
    ],
)
def test_unfitting_inputs_are_refused(values: np.ndarray[tuple[int, ...], np.dtype[np.int64]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack_input(_tensor(), values, ARCH)


def test_loading_writes_every_segment_from_line_zero() -> None:
    program = _program()
    words = load_words(program).tolist()
    for space, segment in program.segments.items():
        if not segment:
            continue
        lines = len(segment) // link.line_words(space, program.arch)
        assert words[:2] == link.write_command(space, 0, lines)
        assert words[2 : 2 + len(segment)] == segment.tolist()
        words = words[2 + len(segment) :]
    assert not words


def test_an_empty_segment_is_not_written() -> None:
    builder = GraphBuilder(rng=np.random.default_rng(1))
    program = lower(builder.graph("requant", builder.requant(builder.input(1, 1, 1))), ARCH)
    assert len(program.segments[Space.WEIGHTS]) == 0
    headers = [link.write_command(Space.WEIGHTS, 0, count)[0] for count in (1,)]
    assert headers[0] not in load_words(program)


def test_an_inference_writes_runs_and_reads() -> None:
    program = _program()
    feeds = _feeds(program)
    (tensor,) = program.inputs
    packed = pack_input(tensor, feeds[tensor.name], program.arch)
    expected = link.write_command(Space.ACTIVATIONS, tensor.base // 4, len(packed)) + packed.ravel().tolist()
    expected += link.run_command()
    for output in program.outputs:
        expected += link.read_command(Space.ACTIVATIONS, output.base // 4, -(-output.elements // 4))
    expected += link.read_command(Space.COUNTERS, 0, len(Counter))
    assert inference_words(program, feeds).tolist() == expected


def test_a_missing_input_is_named() -> None:
    with pytest.raises(ValueError, match="input 'x0' is missing; got 'other'"):
        inference_words(_program(), {"other": np.zeros(1, np.int64)})


def test_the_response_gives_outputs_and_counters() -> None:
    program = _program()
    rng = np.random.default_rng(5)
    values = {output.name: rng.integers(-128, 128, output.shape) for output in program.outputs}
    words = array("I", [link.DONE])
    for output in program.outputs:
        words.extend(pack_input(output, values[output.name], program.arch).ravel().tolist())
    words.extend(range(100, 100 + len(Counter)))
    assert len(words) == response_count(program)
    result = parse_response(program, words)
    assert all(np.array_equal(result.outputs[name], value) for name, value in values.items())
    assert result.counters == {counter: 100 + counter for counter in Counter}


def test_broken_responses_are_refused() -> None:
    program = _program()
    count = response_count(program)
    with pytest.raises(ResponseError, match=f"expected {count} words, got 3"):
        parse_response(program, [link.DONE, 0, 0])
    with pytest.raises(ResponseError, match="expected DONE .0000600d. after the run, got bad0c0de"):
        parse_response(program, [link.BAD_COMMAND, *[0] * (count - 1)])
