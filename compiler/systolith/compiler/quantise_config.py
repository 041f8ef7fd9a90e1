# SPDX-License-Identifier: Apache-2.0
"""The options of post-training quantisation, each with its explanation, type and default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from systolith.spec.arch import Arch

from .errors import QuantisationError

__all__ = ["Method", "QuantiseConfig"]

Method = Literal["min-max", "percentile", "mse"]


@dataclass(frozen=True, kw_only=True)
class QuantiseConfig:
    """How a float network becomes an integer one."""

    weight_bits: int = 8
    """Bits of a (signed, symmetric) weight."""
    act_bits: int = 8
    """Bits of a (signed, asymmetric) activation."""
    acc_bits: int = 32
    """Bits of an accumulator; no sum may overflow it."""
    method: Method = "mse"
    """How a tensor's range follows from the calibration samples."""
    percentile: float = 99.99
    """Share of the values, in percent, below the upper (above the lower) end of a range; only for "percentile"."""
    per_channel: bool = True
    """A scale for each output channel's weights, instead of one for the layer."""
    tables: int = 0
    """Tables of function values that the engine holds at its lanes' output."""

    def __post_init__(self) -> None:
        """Check the options; raises QuantisationError."""
        if self.method not in get_args(Method):
            raise QuantisationError(f"calibration method {self.method!r}; accepted: {', '.join(get_args(Method))}")
        if not 50 < self.percentile <= 100:
            raise QuantisationError(f"percentile {self.percentile}; accepted: above 50, up to 100")
        for name, (low, high) in {"weight_bits": (2, 16), "act_bits": (4, 16), "acc_bits": (16, 64)}.items():
            if not low <= getattr(self, name) <= high:
                raise QuantisationError(f"{name} {getattr(self, name)}; accepted: {low}..{high}")

    @classmethod
    def for_arch(cls, arch: Arch, *, method: Method = "mse", percentile: float = 99.99) -> QuantiseConfig:
        """The options whose integers an engine of ``arch`` computes with."""
        return cls(
            weight_bits=arch.weight_bits,
            act_bits=arch.act_bits,
            acc_bits=arch.acc_bits,
            tables=arch.tables,
            method=method,
            percentile=percentile,
        )
