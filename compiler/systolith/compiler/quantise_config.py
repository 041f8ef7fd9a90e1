# SPDX-License-Identifier: Apache-2.0
"""The options of post-training quantisation, each with its explanation, type and default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from systolith.spec.arch import Arch

from .errors import QuantisationError

__all__ = ["MEASURED_METHODS", "Equalise", "Method", "QuantiseConfig", "Rounding"]

Method = Literal["auto", "min-max", "percentile", "entropy", "mse"]
Equalise = Literal["auto", "on", "off"]
Rounding = Literal["auto", "nearest", "reconstruct"]

MEASURED_METHODS: tuple[Method, ...] = ("mse", "min-max", "percentile", "entropy")
"""What "auto" chooses from; of equals the first."""

_FINE_BITS = 8
"""Weights of so many bits and more gain nothing from reconstruction that could be told from chance."""


@dataclass(frozen=True, kw_only=True)
class QuantiseConfig:
    """How a float network becomes an integer one."""

    weight_bits: int = 8
    """Bits of a (signed, symmetric) weight."""
    act_bits: int = 8
    """Bits of a (signed, asymmetric) activation."""
    acc_bits: int = 32
    """Bits of an accumulator; no sum may overflow it."""
    method: Method = "auto"
    """How a tensor's range follows from the calibration samples; "auto" measures which does best."""
    percentile: float = 99.99
    """Share of the values, in percent, below the upper (above the lower) end of a range; only for "percentile"."""
    per_channel: bool = True
    """A scale for each output channel's weights, instead of one for the layer."""
    tables: int = 0
    """Tables of function values that the engine holds at its lanes' output."""
    precision: int = 0
    """Further bits of the lanes' arithmetic, for what is measured."""
    symmetric: bool = False
    """Activations with a zero point of 0."""
    equalise: Equalise = "auto"
    """Cross-layer equalisation; "auto" measures whether it helps."""
    rounding: Rounding = "auto"
    """How weights are rounded; "auto" reconstructs layers of fewer than 8 bits."""
    default_bits: int | None = None
    """Bits of the weights of layers that ``layer_bits`` does not name; ``weight_bits`` if None."""
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    """Bits of the weights of single layers, by node name; 2 to ``weight_bits``."""

    def __post_init__(self) -> None:
        """Check the options; raises QuantisationError."""
        for name, kind in {"method": Method, "equalise": Equalise, "rounding": Rounding}.items():
            if getattr(self, name) not in get_args(kind):
                what = "calibration method" if name == "method" else name
                raise QuantisationError(f"{what} {getattr(self, name)!r}; accepted: {', '.join(get_args(kind))}")
        if not 50 < self.percentile <= 100:
            raise QuantisationError(f"percentile {self.percentile}; accepted: above 50, up to 100")
        for name, (low, high) in {"weight_bits": (2, 16), "act_bits": (4, 16), "acc_bits": (16, 64)}.items():
            if not low <= getattr(self, name) <= high:
                raise QuantisationError(f"{name} {getattr(self, name)}; accepted: {low}..{high}")
        if self.rounding == "reconstruct" and not self.per_channel:
            raise QuantisationError("rounding 'reconstruct' with one scale for a layer; accepted: a scale per channel")
        for layer, bits in {"all layers": self._usual_bits, **self.layer_bits}.items():
            if not 2 <= bits <= self.weight_bits:
                raise QuantisationError(
                    f"{bits}-bit weights for {layer}; accepted: 2..{self.weight_bits}, what the engine multiplies"
                )

    @classmethod
    def for_arch(cls, arch: Arch, **options: Any) -> QuantiseConfig:
        """The options whose integers an engine of ``arch`` computes with; ``options`` are further fields."""
        return cls(
            weight_bits=arch.weight_bits,
            act_bits=arch.act_bits,
            acc_bits=arch.acc_bits,
            tables=arch.tables,
            precision=arch.precision,
            **options,
        )

    def with_(self, **changes: Any) -> QuantiseConfig:
        """A copy with some options replaced."""
        return replace(self, **changes)

    def bits_of(self, layer: str) -> int:
        """Bits of a layer's weights."""
        return self.layer_bits.get(layer, self._usual_bits)

    @property
    def _usual_bits(self) -> int:
        return self.weight_bits if self.default_bits is None else self.default_bits

    def reconstructs(self, layer: str) -> bool:
        """Whether a layer's weights are rounded by :mod:`systolith.compiler.reconstruct`."""
        return self.rounding == "reconstruct" or self.rounding == "auto" and self.bits_of(layer) < _FINE_BITS
