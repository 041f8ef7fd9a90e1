# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a program and a simulator's answer."""

from __future__ import annotations

__all__ = ["EngineHung", "SimulationError", "SimulatorMissing"]


class SimulationError(RuntimeError):
    """A simulator could not be built or did not finish; the message names the log and shows its end."""


class SimulatorMissing(SimulationError):
    """The simulator asked for cannot run here; the message says what is missing and how to get it."""


class EngineHung(SimulationError):
    """The engine neither took nor gave a word for a long time; the message says how far it got."""
