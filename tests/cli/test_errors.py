# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from systolith.api.errors import Mismatch
from systolith.boards.board import BoardError
from systolith.boards.flow import FlowError
from systolith.boards.host.errors import LinkError
from systolith.boards.tools import MissingTool
from systolith.cli.errors import exit_code_of
from systolith.cli.exit_codes import ExitCode
from systolith.compiler import errors
from systolith.compiler.runtime import ResponseError
from systolith.spec.arch import ArchError
from systolith.spec.image import ImageError
from systolith.testbench.runner.errors import EngineHung, SimulatorMissing


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.CapacityError("x"), ExitCode.FIT),
        (errors.UnsupportedModel(node="n", op="o", problem="p", accepted="a"), ExitCode.UNSUPPORTED),
        (errors.ShapeError("x"), ExitCode.UNSUPPORTED),
        (errors.QuantisationError("x"), ExitCode.UNSUPPORTED),
        (errors.ModelFileError("x"), ExitCode.INPUT),
        (errors.CalibrationError("x"), ExitCode.INPUT),
        (errors.WeightError("x"), ExitCode.INPUT),
        (ArchError("x"), ExitCode.INPUT),
        (ImageError("x"), ExitCode.INPUT),
        (FileNotFoundError("x"), ExitCode.INPUT),
        (BoardError("x"), ExitCode.INPUT),
        (MissingTool("x"), ExitCode.TOOL),
        (FlowError("x"), ExitCode.TOOL),
        (SimulatorMissing("x"), ExitCode.TOOL),
        (EngineHung("x"), ExitCode.TOOL),
        (Mismatch("x"), ExitCode.MISMATCH),
        (ResponseError("x"), ExitCode.MISMATCH),
        (LinkError("x"), ExitCode.LINK),
    ],
)
def test_families(error: Exception, code: ExitCode) -> None:
    assert exit_code_of(error) is code


@pytest.mark.parametrize("error", [RuntimeError("x"), ValueError("x"), KeyError("x"), AssertionError("x")])
def test_a_defect_has_no_exit_code(error: Exception) -> None:
    assert exit_code_of(error) is None
