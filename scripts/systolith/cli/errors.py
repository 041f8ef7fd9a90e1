# SPDX-License-Identifier: Apache-2.0
"""From the errors that users can meet to exit codes."""

from __future__ import annotations

from .exit_codes import ExitCode

__all__ = ["exit_code_of"]


def exit_code_of(error: Exception) -> ExitCode | None:
    """The exit code of an expected error; None for a defect of ours, which deserves its traceback.

    The families are imported here, when something has gone wrong, and not at every start of the command.
    """
    families = (*_input_families(), *_tool_families())
    return next((code for code, kinds in families if isinstance(error, kinds)), None)


def _input_families() -> tuple[tuple[ExitCode, tuple[type[Exception], ...]], ...]:
    from systolith.compiler import errors
    from systolith.spec.arch import ArchError
    from systolith.spec.image import ImageError, WrongEngine

    return (
        (ExitCode.MISMATCH, (WrongEngine,)),
        (ExitCode.FIT, (errors.CapacityError,)),
        (ExitCode.UNSUPPORTED, (errors.UnsupportedModel, errors.ShapeError, errors.QuantisationError)),
        (ExitCode.INPUT, (errors.CompileError, ArchError, ImageError, OSError)),
    )


def _tool_families() -> tuple[tuple[ExitCode, tuple[type[Exception], ...]], ...]:
    from systolith.api.errors import Mismatch
    from systolith.boards.board import BoardError
    from systolith.boards.build import TimingFailure
    from systolith.boards.flow import FlowError
    from systolith.boards.host.errors import LinkError
    from systolith.boards.tools import MissingTool
    from systolith.compiler.runtime import ResponseError
    from systolith.testbench.runner.errors import SimulationError

    return (
        (ExitCode.MISMATCH, (Mismatch, ResponseError)),
        (ExitCode.LINK, (LinkError,)),
        (ExitCode.FIT, (TimingFailure,)),
        (ExitCode.INPUT, (BoardError,)),
        (ExitCode.TOOL, (SimulationError, FlowError, MissingTool)),
    )
