# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from systolith.compiler.calibration_data import as_samples, load_samples
from systolith.compiler.errors import CalibrationError
from systolith.compiler.ir import Graph, Tensor


def graph(*shape: int, inputs: tuple[str, ...] = ("input",)) -> Graph:
    return Graph("g", inputs, inputs, (), {name: Tensor(name, shape) for name in inputs})


IMAGE = graph(1, 3, 4, 5)


def save(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("name", ["input", "x", "x_calib", "anything"])
def test_npz_array_names(tmp_path: Path, name: str) -> None:
    values = np.ones((2, 3, 4, 5), np.float32)
    found = load_samples(save(tmp_path / "c.npz", **{name: values}), IMAGE)
    np.testing.assert_array_equal(found["input"], values)


def test_the_inputs_own_name_comes_first(tmp_path: Path) -> None:
    own, other = np.ones((1, 3, 4, 5)), np.zeros((1, 3, 4, 5))
    assert load_samples(save(tmp_path / "c.npz", x=other, input=own), IMAGE)["input"].all()


def test_labels_beside_the_samples_do_not_matter(tmp_path: Path) -> None:
    path = save(tmp_path / "c.npz", y=np.zeros(2), x=np.ones((2, 3, 4, 5)))
    assert load_samples(path, IMAGE)["input"].shape == (2, 3, 4, 5)


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.ones((2, 3, 4, 5)))
    assert load_samples(tmp_path / "c.npy", IMAGE)["input"].dtype == np.float32


def test_several_inputs_by_name(tmp_path: Path) -> None:
    network = graph(1, 3, inputs=("a", "b"))
    found = load_samples(save(tmp_path / "c.npz", a=np.zeros((2, 3)), b=np.ones((2, 3))), network)
    assert (found["a"].sum(), found["b"].sum()) == (0, 6)
    with pytest.raises(CalibrationError, match=r"no array for input 'b'; expected 'b', got \['a', 'x'\]"):
        load_samples(save(tmp_path / "d.npz", a=np.zeros((2, 3)), x=np.ones((2, 3))), network)


def test_channels_last_bytes_become_channels_first_floats() -> None:
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    found = as_samples(pixels, IMAGE, "input")
    np.testing.assert_array_equal(found, pixels.transpose(0, 3, 1, 2).astype(np.float32))


def test_channels_first_wins_where_both_fit() -> None:
    values = np.arange(27).reshape(1, 3, 3, 3)
    np.testing.assert_array_equal(as_samples(values, graph(1, 3, 3, 3), "input"), values)


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 1, 4, 5), (2, 4, 5, 1)])
def test_grey_images_need_no_channel(shape: tuple[int, ...]) -> None:
    values = np.arange(40).reshape(shape)
    np.testing.assert_array_equal(as_samples(values, graph(1, 1, 4, 5), "input"), values.reshape(2, 1, 4, 5))


@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5, 3)])
def test_one_sample_without_a_batch(shape: tuple[int, ...]) -> None:
    assert as_samples(np.zeros(shape), IMAGE, "input").shape == (1, 3, 4, 5)


def test_one_vector_without_a_batch() -> None:
    assert as_samples(np.zeros(7), graph(1, 7), "input").shape == (1, 7)


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (2, 60), (2, 4, 4, 3), (2, 1, 3, 4, 5), (2, 4, 5)])
def test_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    own, channels_last = r"\[samples, 3, 4, 5\]", r"\[samples, 4, 5, 3\]"
    expected = rf"samples, input 'input': expected shape {own} \(or channels last: {channels_last}\), got \["
    with pytest.raises(CalibrationError, match=expected):
        as_samples(np.zeros(shape), IMAGE, "input")


def test_refuses_vectors_of_another_length() -> None:
    with pytest.raises(CalibrationError, match=r"expected shape \[samples, 7\], got \[2, 8\]"):
        as_samples(np.zeros((2, 8)), graph(1, 7), "input")


def test_refuses_no_samples() -> None:
    with pytest.raises(CalibrationError, match=r"expected at least 1 sample, got shape \[0, 3, 4, 5\]"):
        as_samples(np.zeros((0, 3, 4, 5)), IMAGE, "input")


def test_refuses_what_is_not_finite() -> None:
    values = np.zeros((2, 3, 4, 5))
    values[0, 0, 0, :2] = np.nan, np.inf
    with pytest.raises(CalibrationError, match="expected finite numbers, got 2 NaN or infinite of 120"):
        as_samples(values, IMAGE, "input")


def test_refuses_what_is_no_number() -> None:
    with pytest.raises(CalibrationError, match="expected numbers, got <U1"):
        as_samples(np.full((2, 3, 4, 5), "a"), IMAGE, "input")


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"c\.npz: no such file; expected a \.npz or \.npy file"):
        load_samples(tmp_path / "c.npz", IMAGE)


@pytest.mark.parametrize("content", [b"", b"not numpy at all", b"PK\x03\x04broken", b"\x93NUMPY\x01\x00"])
def test_refuses_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.npz"
    path.write_bytes(content)
    with pytest.raises(CalibrationError, match=r"c\.npz: cannot be read \("):
        load_samples(path, IMAGE)


def test_refuses_pickles(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(CalibrationError, match="cannot be read"):
        load_samples(tmp_path / "c.npy", IMAGE)


def test_refuses_other_names(tmp_path: Path) -> None:
    path = save(tmp_path / "c.npz", images=np.zeros(3), labels=np.zeros(3))
    expected = (
        r"no array for input 'input'; expected 'input', 'x', 'x_calib' or a single array, got \['images', 'labels'\]"
    )
    with pytest.raises(CalibrationError, match=expected):
        load_samples(path, IMAGE)
