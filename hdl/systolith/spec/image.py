# SPDX-License-Identifier: Apache-2.0
"""A compiled program: memory contents, input and output maps, and what a report wants to know.

File format (``program.slp``), little-endian: the 8 bytes ``SYSTOLTH``, format version (u32), header length in bytes
(u32), CRC-32 of all that follows (u32), a UTF-8 JSON header, then the segments' words (u32) one after another in the
order of the header's ``segments`` list. The header carries the complete :class:`~systolith.spec.arch.Arch` and its
hash.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from . import link
from .arch import Arch, ArchError
from .link import Space

__all__ = ["ImageError", "LayerInfo", "Program", "TensorMap", "WrongEngine", "load_program", "save_program"]

_MARK = b"SYSTOLTH"
_VERSION = 2
_PREFIX = struct.Struct("<8sIII")


class ImageError(ValueError):
    """A program file is damaged, of another version, or inconsistent; the message says what and where."""


class WrongEngine(ImageError):
    """A program meets an engine of another architecture than the one it was compiled for."""


@dataclass(frozen=True, kw_only=True)
class TensorMap:
    """Where a tensor lies in the activation memory and what its integers mean.

    With ``block`` (by, bx), element ``(y, x, c)`` is at ``base + (y // by) * row_pitch + (x // bx) * channel_pitch +
    ((y % by) * bx + x % bx) * channels + c``; its real value is ``scale * (q - zero_point)`` with the signed integer
    ``q`` of ``act_bits``. Whoever writes an input writes the zero point to its padding.
    """

    name: str
    base: int
    """Element address; a multiple of the line for inputs and outputs."""
    height: int
    width: int
    channels: int
    channel_pitch: int
    """Elements between neighbours in x (of blocks, if any)."""
    row_pitch: int
    """Elements between neighbours in y (of blocks, if any). Below ``channel_pitch`` where columns are contiguous."""
    shape: tuple[int, ...]
    """The tensor's shape in the network, batch included (NCHW or NC)."""
    scale: float
    zero_point: int
    """In the engine's signed integers (uint8 tensors are stored minus 128)."""
    unsigned: bool = False
    """The network's own integers are unsigned: they are the engine's plus ``2**(act_bits - 1)``."""
    float_io: bool = True
    """The network's own interface is float; False where it takes or gives integers."""
    block: tuple[int, int] = (1, 1)
    """Pixels (y, x) whose elements are neighbours; (1, 1) for all but network inputs."""

    @property
    def elements(self) -> int:
        """Elements from the first to the last, padding included."""
        down, across = -(-self.height // self.block[0]), -(-self.width // self.block[1])
        return max(down * self.row_pitch, across * self.channel_pitch)


@dataclass(frozen=True, kw_only=True)
class LayerInfo:
    """One layer of the program, for reports and for naming the place of a mismatch."""

    name: str
    """The ONNX node it comes from (the first, where several are fused)."""
    kind: str
    """Operator and what is fused into it, such as ``Conv+Relu+Add``."""
    first: int
    """Index of its first descriptor."""
    count: int
    """Number of descriptors (tiles)."""
    macs: int
    """Useful multiply-accumulates, padding taps included; 0 for a vector layer."""
    output: TensorMap
    """Its output; overwritten later where memory is reused."""
    weight_bytes: int
    """Bytes of weights in the weight memory."""
    weight_bits: int = 0
    """Bits that each weight takes there; 0 for a layer without weights."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """Everything a back end needs to run a network on an engine of ``arch``."""

    name: str
    arch: Arch
    segments: Mapping[Space, array[int]]
    """Link words (typecode ``I``) of the PROGRAM, WEIGHTS, PARAMS and TABLES spaces from line 0; whole lines."""
    inputs: tuple[TensorMap, ...]
    outputs: tuple[TensorMap, ...]
    layers: tuple[LayerInfo, ...]
    host_tail: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By output: what the host does to it after the run, in order: ``Softmax``, ``QuantizeLinear(...)``, ..."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Free facts for reports (source file, accuracy, memory peak), JSON-able."""

    def __post_init__(self) -> None:
        """Check that every segment has whole lines and fits; raises :class:`ImageError`."""
        for space, words in self.segments.items():
            per_line = link.line_words(space, self.arch)
            lines, rest = divmod(len(words), per_line)
            if rest:
                raise ImageError(f"segment {space.name}: {len(words)} words are not whole lines of {per_line}")
            if lines > link.space_lines(space, self.arch):
                limit = link.space_lines(space, self.arch)
                raise ImageError(f"segment {space.name}: {lines} lines, the architecture {self.arch.name} has {limit}")

    def check_arch(self, arch_hash: int) -> None:
        """Raise :class:`WrongEngine` unless the engine with ``arch_hash`` is the one this program is for."""
        if arch_hash != self.arch.hash:
            raise WrongEngine(
                f"program {self.name!r} is compiled for arch {self.arch.name!r} (hash {self.arch.hash:08x}), "
                f"this engine has hash {arch_hash:08x}; compile it again for this engine"
            )


def _bytes(words: array[int]) -> bytes:
    data = array("I", words)
    if sys.byteorder == "big":
        data.byteswap()
    return data.tobytes()


def _words(data: bytes) -> array[int]:
    words = array("I")
    words.frombytes(data)
    if sys.byteorder == "big":
        words.byteswap()
    return words


def _header(program: Program) -> dict[str, Any]:
    return {
        "name": program.name,
        "arch": program.arch.to_json(),
        "arch_hash": program.arch.hash,
        "segments": [{"space": space.name, "words": len(words)} for space, words in program.segments.items()],
        "inputs": [asdict(tensor) for tensor in program.inputs],
        "outputs": [asdict(tensor) for tensor in program.outputs],
        "layers": [asdict(layer) for layer in program.layers],
        "host_tail": {name: list(steps) for name, steps in program.host_tail.items()},
        "notes": dict(program.notes),
    }


def save_program(program: Program, path: Path) -> None:
    """Write the program file; it appears complete or not at all."""
    head = json.dumps(_header(program)).encode()
    body = head + b"".join(_bytes(words) for words in program.segments.values())
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(_PREFIX.pack(_MARK, _VERSION, len(head), zlib.crc32(body)) + body)
    temporary.replace(path)


def _tensor(data: dict[str, Any]) -> TensorMap:
    return TensorMap(**{**data, "shape": tuple(data["shape"]), "block": tuple(data["block"])})


def _layer(data: dict[str, Any]) -> LayerInfo:
    return LayerInfo(**{**data, "output": _tensor(data["output"])})


def _segments(head: dict[str, Any], body: bytes) -> dict[Space, array[int]]:
    segments: dict[Space, array[int]] = {}
    offset = 0
    for entry in head["segments"]:
        size = 4 * entry["words"]
        segments[Space[entry["space"]]] = _words(body[offset : offset + size])
        offset += size
    if offset != len(body):
        raise ImageError(f"{len(body) - offset} bytes more than the segments need")
    return segments


def _parse(body: bytes, head_length: int) -> Program:
    head = json.loads(body[:head_length])
    arch = Arch.from_json(head["arch"])
    if arch.hash != head["arch_hash"]:
        raise ImageError(f"arch hash {head['arch_hash']:08x} does not belong to the arch in the file ({arch.hash:08x})")
    return Program(
        name=head["name"],
        arch=arch,
        segments=_segments(head, body[head_length:]),
        inputs=tuple(_tensor(item) for item in head["inputs"]),
        outputs=tuple(_tensor(item) for item in head["outputs"]),
        layers=tuple(_layer(item) for item in head["layers"]),
        host_tail={name: tuple(steps) for name, steps in head["host_tail"].items()},
        notes=head["notes"],
    )


def load_program(path: Path) -> Program:
    """Read a program file.

    Raises:
        ImageError: not a program file, another version, truncated, checksum wrong, or inconsistent.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) < _PREFIX.size or not data.startswith(_MARK):
        raise ImageError(f"{path}: not a Systolith program file")
    _, version, head_length, crc = _PREFIX.unpack_from(data)
    if version != _VERSION:
        raise ImageError(f"{path}: format version {version}, this tool reads {_VERSION}")
    body = data[_PREFIX.size :]
    if zlib.crc32(body) != crc:
        raise ImageError(f"{path}: checksum wrong, the file is damaged or cut short")
    try:
        return _parse(body, head_length)
    except (ArchError, KeyError, TypeError, ValueError) as error:
        raise ImageError(f"{path}: {error}") from error
