# SPDX-License-Identifier: Apache-2.0
"""The host link: the words that go in and out of the engine's two ready/valid streams.

The engine has one input stream and one output stream of 32-bit words. A command is one header word, for
WRITE and READ followed by a count word:

===========  =====================================================  =======================================
command      words in                                               words out
===========  =====================================================  =======================================
WRITE        header(space, address), count, then count lines        none
READ         header(space, address), count                          count lines, ``last`` on the final word
RUN          header                                                 ``DONE``, with ``last``, when the run ends
===========  =====================================================  =======================================

``count`` is in lines, 1 or more. A line of a space that is ``bits`` wide travels as ``ceil(bits / 32)`` words, least
significant first. Commands are executed in order; during a run the input stream waits (``ready`` low). Every other
header is answered by the single word ``BAD_COMMAND`` and skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from .arch import Arch
from .isa import WORD_BITS

__all__ = [
    "ADDRESS_BITS",
    "BAD_COMMAND",
    "DONE",
    "IDENT_LINES",
    "MAGIC",
    "Command",
    "Counter",
    "Space",
    "header",
    "ident",
    "line_bits",
    "line_words",
    "pack_line",
    "param_slots",
    "read_command",
    "run_command",
    "space_lines",
    "spaces",
    "unpack_line",
    "write_command",
]

ADDRESS_BITS = 24
"""Bits of a line address in a header word."""

DONE = 0x0000_600D
"""The answer to RUN."""

BAD_COMMAND = 0xBAD0_C0DE
"""The answer to a header that is no command."""

MAGIC = 0x5C51_0001
"""First word of the IDENT space: the tool's mark and the link's version."""

IDENT_LINES = 2
"""Words of the IDENT space: MAGIC and the architecture's hash."""


class Command(IntEnum):
    """Bits 31..28 of a header."""

    WRITE = 1
    READ = 2
    RUN = 3


class Space(IntEnum):
    """Bits 27..24 of a header: the memory a command addresses (bits 23..0: the line)."""

    PROGRAM = 0
    """Descriptors; read and write."""
    WEIGHTS = 1
    """Weights in consumption order; write only."""
    PARAMS = 2
    """Lane parameters; write only."""
    ACTIVATIONS = 3
    """Input, intermediate and output tensors; read and write."""
    COUNTERS = 4
    """Performance counters of the last run, one word each in the order of :class:`Counter`; read only."""
    IDENT = 5
    """MAGIC and the architecture hash; read only."""
    TABLES = 6
    """Entries of the tables behind the lanes, table after table; a line is an entry, the first one that of the smallest
    element; write only. Engines without tables do not have this space."""


class Counter(IntEnum):
    """Cycle counters (all but WORK); CYCLES is the sum of the others. Each cycle of a run has exactly one cause.

    A cycle belongs to what the front end did in it: issue a vector, or wait, and then for what.
    """

    CYCLES = 0
    """From the start of the run to the last store."""
    ACTIVE = 1
    """A vector was issued to the array."""
    WEIGHTS = 2
    """The next pass waits for its weights (or for the minimum length of a pass)."""
    MEMORY = 3
    """The activation memory serves a residual read or a store instead of the fetch."""
    LANES = 4
    """The last pass waits for the requantiser lanes (lane_cycles > 1)."""
    DRAIN = 5
    """All vectors are issued; results are on their way to memory."""
    VECTOR = 6
    """A vector was issued to the vector unit."""
    CONTROL = 7
    """Descriptors are read."""
    WORK = 8
    """Useful MACs of the run: the sum of ``work`` over the stored output pixels of MATRIX descriptors."""


def header(command: Command, space: Space, address: int) -> int:
    """A header word. Raises ValueError if the address does not fit."""
    if not 0 <= address < 1 << ADDRESS_BITS:
        raise ValueError(f"line address must be in 0..{(1 << ADDRESS_BITS) - 1}, got {address}")
    return command << 28 | space << 24 | address


def write_command(space: Space, address: int, count: int) -> list[int]:
    """Header and count of a WRITE; the lines' words follow."""
    return [header(Command.WRITE, space, address), count]


def read_command(space: Space, address: int, count: int) -> list[int]:
    """A complete READ."""
    return [header(Command.READ, space, address), count]


def run_command() -> list[int]:
    """A complete RUN."""
    return [header(Command.RUN, Space.PROGRAM, 0)]


def ident(arch: Arch) -> list[int]:
    """What the IDENT space of an engine built from ``arch`` answers."""
    return [MAGIC, arch.hash]


def param_slots(arch: Arch) -> dict[str, tuple[int, int]]:
    """Bit offset and width of ``bias`` (signed), ``multiplier`` and ``shift`` in one lane's share of a parameter line.

    Lane ``i`` of the line starts at ``i`` times the sum of the widths.
    """
    widths = arch.lane_widths
    sizes = {"bias": arch.acc_bits, "multiplier": widths.mult, "shift": widths.shift}
    slots, offset = {}, 0
    for name, bits in sizes.items():
        slots[name] = (offset, bits)
        offset += bits
    return slots


def spaces(arch: Arch) -> tuple[Space, ...]:
    """The spaces that an engine has."""
    return tuple(space for space in Space if space is not Space.TABLES or arch.tables)


def line_bits(space: Space, arch: Arch) -> int:
    """Bits of a line of a space."""
    lane = sum(bits for _, bits in param_slots(arch).values())
    bits = {
        Space.WEIGHTS: arch.weight_line_bits,
        Space.PARAMS: lane * arch.lanes,
        Space.ACTIVATIONS: arch.act_line_bits,
        Space.TABLES: arch.act_bits,
    }
    return bits.get(space, WORD_BITS)


def line_words(space: Space, arch: Arch) -> int:
    """Link words of a line of a space."""
    return -(-line_bits(space, arch) // WORD_BITS)


def space_lines(space: Space, arch: Arch) -> int:
    """Lines of a space; 0 where the engine lacks it."""
    return {
        Space.PROGRAM: arch.program_words,
        Space.WEIGHTS: arch.weight_lines,
        Space.PARAMS: arch.param_lines,
        Space.ACTIVATIONS: arch.act_lines,
        Space.COUNTERS: len(Counter),
        Space.IDENT: IDENT_LINES,
        Space.TABLES: arch.tables * arch.table_entries,
    }[space]


def pack_line(values: Sequence[int], bits: int) -> list[int]:
    """Values of ``bits`` bits each (signed or not), the first in the least significant bits, as link words."""
    whole = 0
    for index, value in enumerate(values):
        whole |= (value & ((1 << bits) - 1)) << (index * bits)
    return [(whole >> shift) & 0xFFFF_FFFF for shift in range(0, len(values) * bits, WORD_BITS)]


def unpack_line(words: Sequence[int], bits: int, count: int) -> list[int]:
    """The inverse of :func:`pack_line`; values come back signed."""
    whole = sum(word << (WORD_BITS * index) for index, word in enumerate(words))
    raw = [(whole >> (index * bits)) & ((1 << bits) - 1) for index in range(count)]
    return [value - (1 << bits) if value >> (bits - 1) else value for value in raw]
