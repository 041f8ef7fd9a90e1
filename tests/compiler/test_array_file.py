# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from systolith.compiler.array_file import ArrayFileError, read_arrays

ARRAYS = {"a": np.arange(12).reshape(3, 4), "b": np.array("text"), "empty": np.zeros((0, 3))}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path, save: object) -> None:
    assert callable(save)
    path = tmp_path / "arrays.npz"
    save(path, **ARRAYS)
    data = path.read_bytes()
    noticed = 0
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        try:
            arrays = read_arrays(path)
        except ArrayFileError:
            noticed += 1
            continue
        assert arrays.keys() == ARRAYS.keys()
        for name, expected in ARRAYS.items():
            np.testing.assert_array_equal(arrays[name], expected)
    assert noticed > len(data) // 2


def test_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAYS["a"])
    (array,) = read_arrays(tmp_path / "a.npy").values()
    np.testing.assert_array_equal(array, ARRAYS["a"])


@pytest.mark.parametrize(
    "content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x10\x00garbage", b"\x80\x04pickle"]
)
def test_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(ArrayFileError, match="."):
        read_arrays(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArrayFileError, match="No such file"):
        read_arrays(tmp_path / "nowhere.npz")


def test_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ArrayFileError, match="allow_pickle"):
        read_arrays(tmp_path / "x.npz")
