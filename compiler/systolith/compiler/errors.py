# SPDX-License-Identifier: Apache-2.0
"""The compiler's refusals: everything a user's network, data or settings can do wrong, as one line each.

A message names what is at fault (file, node, operator, attribute, shape), what would be accepted, and the way out.
It never contains a line break, so that a command line can print it as it is.
"""

from __future__ import annotations

__all__ = [
    "CalibrationError",
    "CapacityError",
    "CompileError",
    "InputFileError",
    "ModelFileError",
    "QuantisationError",
    "ShapeError",
    "UnsupportedModel",
    "VerifyError",
    "WeightError",
]


class CompileError(Exception):
    """The base of all refusals; ``str(error)`` is one line."""

    def __init__(self, message: str) -> None:
        """Keep ``message`` on one line, whatever a library wrote into it."""
        super().__init__(" ".join(message.split()))


class ModelFileError(CompileError):
    """The file cannot be read, or is not a complete and valid ONNX model."""


class InputFileError(CompileError):
    """A file of this tool's own (a build folder's graph, an input tensor) cannot be read or is of another kind."""


class UnsupportedModel(CompileError):
    """The network is valid ONNX, but a node uses something this compiler does not do exactly."""

    def __init__(self, *, node: str, op: str, problem: str, accepted: str, advice: str = "") -> None:
        """Build the line ``node 'name' (Op): problem; accepted: ...; advice``."""
        self.node = node
        self.op = op
        self.problem = problem
        self.accepted = accepted
        self.advice = advice
        tail = f"; {advice}" if advice else ""
        super().__init__(f"node {node!r} ({op}): {problem}; accepted: {accepted}{tail}")


class ShapeError(CompileError):
    """A shape is dynamic, or does not fit the operator."""


class WeightError(CompileError):
    """A weight or other constant of the network is NaN, infinite or of a wrong type."""


class CalibrationError(CompileError):
    """The calibration data cannot be read or does not fit the network's input."""


class QuantisationError(CompileError):
    """The network cannot be expressed in the integers that were asked for."""


class CapacityError(CompileError):
    """The program does not fit the architecture's memories or fields."""


class VerifyError(CompileError):
    """A graph breaks the rules of its level: a defect of the pass that made it, not of the user's network."""
