# SPDX-License-Identifier: Apache-2.0
"""What the hardware is generated for: primitives are instantiated for a synthesis target only."""

from __future__ import annotations

import enum

__all__ = ["Target"]


class Target(enum.Enum):
    """A family of devices. Every target has the same cycle behaviour; GENERIC is what simulators run."""

    GENERIC = "generic"
    """Behavioural models only; every tool infers what it can."""
    ECP5 = "ecp5"
    """Lattice ECP5."""
    ICE40 = "ice40"
    """Lattice iCE40 UltraPlus: SB_MAC16 multipliers and SB_SPRAM256KA memories."""

    @property
    def multipliers(self) -> int | None:
        """MULT18X18D blocks an engine may take, those of the largest device; None where that is not counted."""
        return 156 if self is Target.ECP5 else None
