# SPDX-License-Identifier: Apache-2.0
"""What all back ends share: their interface, and the host link's words for a program and its tensors.

A back end runs a :class:`~systolith.spec.image.Program`: the ISA model, the simulated RTL, a board. Those that speak
the host link take :func:`load_words` once and :func:`inference_words` for each input, and give the words that come back
to :func:`parse_response`.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from systolith.spec import link
from systolith.spec.arch import Arch
from systolith.spec.image import Program, TensorMap
from systolith.spec.isa import WORD_BITS
from systolith.spec.link import Counter, Space

__all__ = [
    "Backend",
    "ResponseError",
    "RunResult",
    "Stores",
    "inference_words",
    "load_words",
    "pack_fields",
    "pack_input",
    "parse_response",
    "response_count",
    "unpack_fields",
    "unpack_output",
]

Ints = NDArray[np.int64]
Words = NDArray[np.uint32]


class ResponseError(RuntimeError):
    """The engine's answer is not what the commands ask for; the message says what was expected and what came."""


@dataclass(frozen=True)
class Stores:
    """Stores in the order made: element addresses (S,) and data (S, cols), int64."""

    addresses: Ints
    data: Ints


@dataclass(frozen=True)
class RunResult:
    """One inference: the outputs in network shape as engine-signed integers, and what the back end observed."""

    outputs: Mapping[str, Ints]
    counters: Mapping[Counter, int] | None = None
    trace: Stores | None = None
    descriptors: tuple[Mapping[Counter, int], ...] | None = None
    """The counters of each descriptor; None where the back end cannot see them (everything but simulated RTL)."""


class Backend(Protocol):
    """Anything that executes programs."""

    def run(self, program: Program, inputs: Sequence[Mapping[str, Ints]]) -> list[RunResult]:
        """One result for each element of ``inputs``: engine-signed integers in network shape, by tensor name."""
        ...


# ---------------------------------------------------------------------- lines as words


def pack_fields(fields: Sequence[tuple[Ints, int]]) -> Words:
    """Lines of bit fields as link words, (lines, words).

    ``fields`` are (values, bits); values are (lines, n) integers, signed or not, whose low ``bits`` bits are taken. Of
    each line, entry 0 of all fields comes first, the first field in the least significant bits; then entry 1, and so
    on. With one field this is :func:`systolith.spec.link.pack_line` for each line.
    """
    entries = [((values[..., None] >> np.arange(bits)) & 1).astype(np.uint8) for values, bits in fields]
    bits = np.concatenate(entries, axis=2)
    bits = bits.reshape(len(bits), -1)
    padded = np.pad(bits, ((0, 0), (0, -bits.shape[1] % WORD_BITS)))
    return np.packbits(padded, axis=1, bitorder="little").view("<u4").astype(np.uint32)


def unpack_fields(words: Words, bits: int, count: int) -> Ints:
    """``count`` signed values of ``bits`` bits from each line of link words, (lines, count)."""
    raw = np.ascontiguousarray(words, dtype="<u4").view(np.uint8)
    flat = np.unpackbits(raw, axis=1, bitorder="little", count=bits * count).astype(np.int64)
    weights = 1 << np.arange(bits, dtype=np.int64)
    weights[-1] = -weights[-1]
    return np.asarray(flat.reshape(-1, count, bits) @ weights, dtype=np.int64)


def _tensor_lines(tensor: TensorMap, arch: Arch) -> int:
    return -(-tensor.elements // arch.line)


def _indices(tensor: TensorMap) -> Ints:
    """Where each element lies, counted from the tensor's first, (channels, height, width)."""
    (by, bx), across = tensor.block, np.arange(tensor.width)
    down, channel = np.arange(tensor.height)[:, None], np.arange(tensor.channels)[:, None, None]
    place = (down % by * bx + across % bx) * tensor.channels
    return np.asarray(down // by * tensor.row_pitch + across // bx * tensor.channel_pitch + place + channel)


def pack_input(tensor: TensorMap, values: Ints, arch: Arch) -> Words:
    """The activation lines of an input as link words, (lines, words); padding elements are the zero point.

    Raises:
        ValueError: ``values`` has another shape than the tensor, or a value does not fit ``act_bits``.
    """
    limit = 1 << (arch.act_bits - 1)
    if values.shape != tensor.shape:
        raise ValueError(f"input {tensor.name!r}: expected shape {tensor.shape}, got {values.shape}")
    if values.min() < -limit or values.max() >= limit:
        raise ValueError(f"input {tensor.name!r}: expected {-limit}..{limit - 1}, got {values.min()}..{values.max()}")
    memory = np.full(_tensor_lines(tensor, arch) * arch.line, tensor.zero_point, dtype=np.int64)
    memory[_indices(tensor)] = values.reshape(tensor.channels, tensor.height, tensor.width)
    return pack_fields([(memory.reshape(-1, arch.line), arch.act_bits)])


def unpack_output(tensor: TensorMap, words: Words, arch: Arch) -> Ints:
    """An output in network shape from its activation lines' link words (any shape, in order)."""
    lines = words.reshape(-1, link.line_words(Space.ACTIVATIONS, arch))
    memory = unpack_fields(lines, arch.act_bits, arch.line).reshape(-1)
    return np.asarray(memory[_indices(tensor)].reshape(tensor.shape))


# ---------------------------------------------------------------------- commands and responses


def load_words(program: Program) -> array[int]:
    """The words that load all memory segments; nothing comes back."""
    words = array("I")
    for space, segment in program.segments.items():
        lines = len(segment) // link.line_words(space, program.arch)
        if lines:
            words.extend(link.write_command(space, 0, lines))
            words.extend(segment)
    return words


def inference_words(program: Program, inputs: Mapping[str, Ints]) -> array[int]:
    """The words of one inference: write the inputs, run, read the outputs in order, read the counters.

    Raises:
        ValueError: an input is missing, or does not fit its tensor.
    """
    arch = program.arch
    words = array("I")
    for tensor in program.inputs:
        if tensor.name not in inputs:
            raise ValueError(f"input {tensor.name!r} is missing; got {', '.join(map(repr, inputs)) or 'none'}")
        packed = pack_input(tensor, inputs[tensor.name], arch)
        words.extend(link.write_command(Space.ACTIVATIONS, tensor.base // arch.line, len(packed)))
        words.frombytes(packed.tobytes())
    words.extend(link.run_command())
    for tensor in program.outputs:
        words.extend(link.read_command(Space.ACTIVATIONS, tensor.base // arch.line, _tensor_lines(tensor, arch)))
    words.extend(link.read_command(Space.COUNTERS, 0, len(Counter)))
    return words


def _output_words(program: Program) -> list[int]:
    per_line = link.line_words(Space.ACTIVATIONS, program.arch)
    return [_tensor_lines(tensor, program.arch) * per_line for tensor in program.outputs]


def response_count(program: Program) -> int:
    """Words that answer :func:`inference_words`."""
    return 1 + sum(_output_words(program)) + len(Counter)


def parse_response(program: Program, words: Sequence[int]) -> RunResult:
    """The result in the words that answer :func:`inference_words`.

    Raises:
        ResponseError: too few or too many words, or the run did not answer DONE.
    """
    if len(words) != response_count(program):
        raise ResponseError(f"expected {response_count(program)} words, got {len(words)}")
    if words[0] != link.DONE:
        raise ResponseError(f"expected DONE ({link.DONE:08x}) after the run, got {words[0]:08x}")
    flat = np.asarray(words, dtype=np.uint32)[1:]
    outputs, start = {}, 0
    for tensor, count in zip(program.outputs, _output_words(program), strict=True):
        outputs[tensor.name] = unpack_output(tensor, flat[start : start + count], program.arch)
        start += count
    counters = {counter: int(flat[start + counter]) for counter in Counter}
    return RunResult(outputs, counters)
