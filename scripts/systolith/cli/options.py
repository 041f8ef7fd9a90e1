# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

from __future__ import annotations

import click

__all__ = ["simulator_option"]

simulator_option = click.option(
    "--simulator",
    type=click.Choice(["verilator", "icarus", "amaranth"]),
    help="Which simulator; by default the fastest that is there.",
)
