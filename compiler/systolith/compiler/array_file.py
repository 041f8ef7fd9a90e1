# SPDX-License-Identifier: Apache-2.0
"""Arrays from ``.npz`` and ``.npy`` files that may be damaged, cut short, or something else.

numpy checks an archive's checksums only where a read happens to reach a member's end, skips members it does not know,
and lets the errors of its parts through. Here the whole archive is checked first, and there is one error.
"""

from __future__ import annotations

import pickle
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayFileError", "read_arrays"]

_ENTRY = b"PK\x01\x02"
"""What an entry of an archive's directory begins with."""

_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, MemoryError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, tokenize.TokenError, SyntaxError),
)
"""What numpy and the archive reader raise on files that are not what they say."""


class ArrayFileError(ValueError):
    """A file holds no arrays, or is damaged; the message says what was found, without the file's name."""


def _check_archive(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        # A wrong length makes a member's comment swallow the entries of those after it.
        swallowed = any(_ENTRY in member.comment + member.extra for member in archive.infolist())
    if damaged is not None:
        raise ArrayFileError(f"checksum of {damaged!r} is wrong")
    if swallowed:
        raise ArrayFileError("the archive's directory is damaged")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a ``.npz`` file by name, or the only one of a ``.npy`` file under the empty name.

    Raises:
        ArrayFileError: the file is missing, damaged or something else.
    """
    try:
        _check_archive(path)
        # A file opened here is also closed where numpy gives up on it.
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return {"": content}
            return {name: content[name] for name in content.files}
    except _DAMAGE as error:
        raise ArrayFileError(str(error) or type(error).__name__) from error
