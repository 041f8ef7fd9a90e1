# SPDX-License-Identifier: Apache-2.0
"""The engine as a design to simulate."""

from __future__ import annotations

import json

from systolith.hdl.emit import TOP, emit_verilog
from systolith.hdl.engine import Engine
from systolith.hdl.target import Target
from systolith.spec.arch import Arch

from .cache import digest, source_digest
from .design import Design

__all__ = ["engine_design"]


def engine_design(arch: Arch, target: Target = Target.GENERIC) -> Design:
    """The engine generated for ``arch``; for another target than GENERIC it is to be synthesised first."""
    return Design(
        arch=arch,
        top=TOP,
        key=digest([json.dumps(arch.to_json(), sort_keys=True), target.name, source_digest()]),
        verilog=lambda: emit_verilog(arch, target=target),
        component=(lambda: Engine(arch=arch)) if target is Target.GENERIC else None,
    )
