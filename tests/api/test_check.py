# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from systolith.api.check import check
from systolith.compiler.errors import CalibrationError, CapacityError, ModelFileError, ShapeError
from tests.support.builds import SmallBuild
from tests.support.faulty_models import FAULTY_FLOAT, FAULTY_QDQ, faulty_float, faulty_qdq
from tests.support.float_models import ModelBuilder


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.parametrize(("make", "expected"), [(faulty_float, FAULTY_FLOAT), (faulty_qdq, FAULTY_QDQ)])
def test_every_problem_is_found_once(
    make: Callable[[], onnx.ModelProto], expected: dict[str, str], tmp_path: Path
) -> None:
    found = check(saved(make(), tmp_path))
    figures = found.figures()
    assert {problem["node"]: problem["problem"] for problem in figures["problems"]} == expected
    assert len(figures["problems"]) == len(expected)
    assert all(problem["accepted"] for problem in figures["problems"])
    assert not found.compiles


def test_what_is_left_is_placed(tmp_path: Path) -> None:
    figures = check(saved(faulty_float(), tmp_path)).figures()
    places = {(row["op"], row["place"]): row["nodes"] for row in figures["operators"]}
    assert places == {
        ("Conv", "engine"): 3,
        ("Hardmax", "refused"): 1,
        ("Flatten", "folded"): 1,
        ("Gemm", "engine"): 1,
        ("GlobalAveragePool", "engine"): 1,
        ("MatMul", "unexamined"): 1,
        ("Reshape", "refused"): 1,
        ("LpNormalization", "refused"): 1,
        ("Softmax", "refused"): 1,
    }
    macs = 36 * 8 * 4 * 9 + 16 * 8 * 8 * 9 + 16 * 64 + 40
    assert figures["macs"] == {"total": macs + 8, "engine": macs, "share": macs / (macs + 8)}


def test_macs_of_refused_layers_are_not_the_engines(tmp_path: Path) -> None:
    figures = check(saved(faulty_qdq(), tmp_path)).figures()
    assert figures["macs"]["engine"] < figures["macs"]["total"]


def test_a_good_network(small: SmallBuild) -> None:
    for calibration in (None, small.calibration):
        found = check(small.model, "tiny", calibration)
        assert found.compiles
        assert found.figures()["macs"]["share"] == 1.0
        assert found.unexamined == set()


def test_a_network_that_does_not_fit(tmp_path: Path) -> None:
    net = ModelBuilder((1, 64, 64, 64))
    found = check(net.save(tmp_path / "net.onnx", net.conv("input", 4, 64, 1, 1)), "tiny")
    assert [type(error) for error in found.errors] == [CapacityError]


def test_a_dynamic_input_is_a_problem_and_can_be_given(tmp_path: Path) -> None:
    net = ModelBuilder((1, 3, "H", 8))
    path = net.save(tmp_path / "net.onnx", net.conv("input", 4, 3, 3, 3))
    assert [type(error) for error in check(path).errors] == [ShapeError]
    assert check(path, shapes={"input": (1, 3, 8, 8)}).compiles


def test_functions_that_few_numbers_have(tmp_path: Path) -> None:
    """Random inputs are drawn until logarithm and root have values."""
    net = ModelBuilder((1, 3, 6, 6))
    x = net.conv(net.add("Sqrt", net.add("Log", net.add("Add", "input", net.constant(1.0)))), 4, 3, 3, 3)
    found = check(net.save(tmp_path / "net.onnx", x), "8x8")
    places = {(row["op"], row["place"]) for row in found.figures()["operators"]}
    assert found.compiles
    assert places == {("Add", "folded"), ("Log", "table"), ("Sqrt", "table"), ("Conv", "engine")}


def test_a_function_that_no_random_input_has(tmp_path: Path) -> None:
    net = ModelBuilder((1, 3, 6, 6))
    out = net.conv(net.add("Log", net.add("Neg", "input")), 4, 3, 3, 3)
    (error,) = check(net.save(tmp_path / "net.onnx", out), "8x8").errors
    assert "on random inputs, " in str(error)
    assert str(error).endswith("; give real ones (--calib)")


@pytest.mark.parametrize("names", ["same", "a:0 a:1 a:2 a:3 a:4", "a a:0 b a:0:x a:0:x:y"])
def test_nodes_of_one_name_and_names_with_colons(names: str, tmp_path: Path) -> None:
    """Each of two faulty nodes is reported once, and the MACs of the layer beside them are the engine's."""
    net = ModelBuilder((1, 4, 8, 8))
    x = net.add("Hardmax", net.conv("input", 4, 4, 1, 1), axis=1)
    x = net.add("LpNormalization", net.conv(x, 4, 4, 1, 1))
    model = onnx.shape_inference.infer_shapes(net.model(net.conv(x, 4, 4, 1, 1)))
    for node, name in zip(model.graph.node, names.split() * 5, strict=False):
        node.name = name
    found = check(saved(model, tmp_path), "8x8")
    figures = found.figures()
    assert sorted(problem["op"] for problem in figures["problems"]) == ["Hardmax", "LpNormalization"]
    places = {(row["op"], row["place"]): (row["nodes"], row["macs"]) for row in figures["operators"]}
    assert places == {
        ("Conv", "engine"): (3, 3 * 64 * 16),
        ("Hardmax", "refused"): (1, 0),
        ("LpNormalization", "refused"): (1, 0),
    }


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        check(tmp_path / "net.onnx")


def test_wrong_calibration_data_are_no_problem_of_the_model(small: SmallBuild, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((2, 5), np.float32))
    with pytest.raises(CalibrationError, match="expected shape"):
        check(small.model, "tiny", tmp_path / "x.npy")
