# SPDX-License-Identifier: Apache-2.0
"""A link job: the words to play into an engine, how, and what came back. Plain data, as files in one folder.

The runner writes a :class:`LinkJob` into a folder and starts a simulator; the bench inside the simulator reads it,
plays it and leaves a :class:`LinkLog` in the same folder. The Amaranth simulator exchanges the same two objects in
memory.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith.spec import link
from systolith.spec.arch import Arch
from systolith.spec.link import Command, Space

from .pauses import Pauses
from .tallies import TallyLog

__all__ = ["JOB_VARIABLE", "PROGRESS_FILE", "LinkJob", "LinkLog", "StoreLog", "count_answers", "read_job", "read_log"]

JOB_VARIABLE = "SYSTOLITH_JOB"
"""Environment variable that tells the bench its job's folder."""

PROGRESS_FILE = "progress"
"""File whose size in bytes is the number of answers that ended with ``last`` so far."""

_JOB, _WORDS = "job.json", "words.bin"
_LOG, _ANSWERS, _STORES, _TALLIES = "log.json", "answers.bin", "stores.npz", "tallies.npz"

Ints = NDArray[np.int64]


def _little_endian(words: array[int]) -> array[int]:
    copy = array("I", words)
    if sys.byteorder == "big":
        copy.byteswap()
    return copy


def _read_words(path: Path) -> array[int]:
    words = array("I")
    words.frombytes(path.read_bytes())
    return _little_endian(words)


def count_answers(words: Sequence[int], arch: Arch) -> int:
    """Words that an engine of ``arch`` answers to a sequence of complete commands; see :mod:`systolith.spec.link`."""
    answers, position = 0, 0
    while position < len(words):
        command, space = words[position] >> 28, words[position] >> 24 & 0xF
        if command == Command.WRITE and space in set(Space):
            position += 2 + words[position + 1] * link.line_words(Space(space), arch)
        elif command == Command.READ and space in set(Space):
            answers += words[position + 1] * link.line_words(Space(space), arch)
            position += 2
        else:
            answers += 1
            position += 1
    return answers


@dataclass(frozen=True, kw_only=True)
class LinkJob:
    """What to play into an engine of ``arch``. Cycle 0 is the first after power-up; the first few are reset."""

    arch: Arch
    words: array[int]
    """Words for ``host_in`` (typecode ``I``), complete commands."""
    source: Pauses = field(default_factory=Pauses)
    """Pauses between the words that go in."""
    sink: Pauses = field(default_factory=Pauses)
    """Back-pressure on the words that come out."""
    record_stores: bool = False
    """Record the store port (costs a wake-up a store)."""
    record_tallies: bool = False
    """Record the tally that a monitored design has."""
    resets: tuple[int, ...] = ()
    """Each entry interrupts: so many cycles after the (re)start, reset is given and the words are played again."""
    replay_from: int = 0
    """Index of the first word played again after a reset: memories keep their contents."""
    quiet_limit: int = 1_000_000
    """Cycles without a word on either stream after which the engine counts as hung."""

    def save(self, folder: Path) -> None:
        """Write the job's files."""
        body = asdict(self) | {"words": None}
        (folder / _WORDS).write_bytes(_little_endian(self.words).tobytes())
        (folder / _JOB).write_text(json.dumps(body, indent=1))


def read_job(folder: Path) -> LinkJob:
    """The job that :meth:`LinkJob.save` wrote."""
    body: dict[str, Any] = json.loads((folder / _JOB).read_text())
    pauses = {name: Pauses(**body[name]) for name in ("source", "sink")}
    words = _read_words(folder / _WORDS)
    arch, resets = Arch.from_json(body["arch"]), tuple(body["resets"])
    return LinkJob(**{**body, **pauses, "arch": arch, "words": words, "resets": resets})


@dataclass(frozen=True)
class StoreLog:
    """Stores in the order the engine made them: cycles (S,), element addresses (S,), data (S, cols) signed; int64."""

    cycles: Ints
    addresses: Ints
    data: Ints

    def __getitem__(self, part: slice) -> StoreLog:
        """Some of the stores, by position."""
        return StoreLog(self.cycles[part], self.addresses[part], self.data[part])

    def between(self, first: int, last: int) -> StoreLog:
        """The stores of the cycles ``first <= cycle < last``."""
        start, stop = np.searchsorted(self.cycles, [first, last])
        return self[int(start) : int(stop)]

    @classmethod
    def from_raw(cls, cycles: list[int], addresses: list[int], raw: Iterable[int], arch: Arch) -> StoreLog:
        """From lists; ``raw`` holds a store's elements side by side, the first column in the least significant bits."""
        mask, sign = (1 << arch.act_bits) - 1, 1 << (arch.act_bits - 1)
        shifts = range(0, arch.cols * arch.act_bits, arch.act_bits)
        rows = [[((value >> shift & mask) ^ sign) - sign for shift in shifts] for value in raw]
        data = np.array(rows, dtype=np.int64).reshape(-1, arch.cols)
        return cls(np.array(cycles, dtype=np.int64), np.array(addresses, dtype=np.int64), data)


@dataclass(frozen=True, kw_only=True)
class LinkLog:
    """What came back."""

    answers: array[int]
    answer_cycles: array[int]
    """The cycle of each answer."""
    ends: tuple[int, ...]
    """Indices of the answers with ``last``."""
    cycles: int
    """Clock cycles simulated."""
    sent: int
    """Words taken by the engine since the last reset."""
    hung: bool = False
    """True if the quiet limit ended the job."""
    stores: StoreLog | None = None
    tallies: TallyLog | None = None

    def save(self, folder: Path) -> None:
        """Write the log's files; the JSON comes last, so that its presence means a complete log."""
        (folder / _ANSWERS).write_bytes(_little_endian(self.answers).tobytes())
        if self.stores is not None:
            np.savez(folder / _STORES, **vars(self.stores))
        if self.tallies is not None:
            np.savez(folder / _TALLIES, **vars(self.tallies))
        body = {
            "ends": self.ends,
            "cycles": self.cycles,
            "sent": self.sent,
            "hung": self.hung,
            "answer_cycles": list(self.answer_cycles),
        }
        (folder / _LOG).write_text(json.dumps(body))


def _read_arrays(file: Path) -> dict[str, Any] | None:
    """The arrays of a file; None if it was not written."""
    if not file.is_file():
        return None
    with np.load(file) as data:
        return dict(data)


def read_log(folder: Path) -> LinkLog:
    """The log that :meth:`LinkLog.save` wrote. Raises FileNotFoundError if the bench left none."""
    body: dict[str, Any] = json.loads((folder / _LOG).read_text())
    stores, tallies = _read_arrays(folder / _STORES), _read_arrays(folder / _TALLIES)
    return LinkLog(
        answers=_read_words(folder / _ANSWERS),
        answer_cycles=array("Q", body.pop("answer_cycles")),
        ends=tuple(body.pop("ends")),
        stores=None if stores is None else StoreLog(**stores),
        tallies=None if tallies is None else TallyLog(**tallies),
        **body,
    )
