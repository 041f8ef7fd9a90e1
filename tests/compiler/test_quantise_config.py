# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest

from systolith.compiler.errors import QuantisationError
from systolith.compiler.quantise_config import QuantiseConfig
from systolith.spec.arch import PRESETS


def test_defaults() -> None:
    config = QuantiseConfig()
    assert (config.weight_bits, config.act_bits, config.acc_bits, config.method, config.per_channel) == (
        8,
        8,
        32,
        "auto",
        True,
    )


def test_bits_come_from_the_arch() -> None:
    arch = PRESETS["tiny"].with_(
        weight_bits=4, narrow_weights=False, dynamic_weights=False, act_bits=16, tables=0, acc_bits=40
    )
    config = QuantiseConfig.for_arch(arch, method="percentile", percentile=99.0)
    assert config == QuantiseConfig(weight_bits=4, act_bits=16, acc_bits=40, method="percentile", percentile=99.0)


def test_tables_come_from_the_arch() -> None:
    assert QuantiseConfig.for_arch(PRESETS["8x8"]).tables == PRESETS["8x8"].tables > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "best"}, "calibration method 'best'; accepted: auto, min-max, percentile, entropy, mse"),
        ({"equalise": "yes"}, "equalise 'yes'; accepted: auto, on, off"),
        ({"rounding": "up"}, "rounding 'up'; accepted: auto, nearest, reconstruct"),
        ({"layer_bits": {"a": 9}}, r"9-bit weights for a; accepted: 2\.\.8, what the engine multiplies"),
        ({"default_bits": 1}, r"1-bit weights for all layers; accepted: 2\.\.8"),
        ({"percentile": 101.0}, "percentile 101.0; accepted: above 50, up to 100"),
        ({"percentile": float("nan")}, "percentile nan; accepted"),
        ({"weight_bits": 1}, r"weight_bits 1; accepted: 2\.\.16"),
        ({"act_bits": 17}, r"act_bits 17; accepted: 4\.\.16"),
        ({"acc_bits": 8}, r"acc_bits 8; accepted: 16\.\.64"),
        (
            {"rounding": "reconstruct", "per_channel": False},
            "'reconstruct' with one scale for a layer; accepted: a scale",
        ),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(QuantisationError, match=message):
        QuantiseConfig(**options)


def test_bits_of_a_layer() -> None:
    config = QuantiseConfig(default_bits=4, layer_bits={"first": 8})
    assert [config.bits_of(name) for name in ("first", "other")] == [8, 4]
    assert QuantiseConfig(weight_bits=6).bits_of("other") == 6


def test_layers_of_few_bits_are_reconstructed() -> None:
    config = QuantiseConfig(default_bits=4, layer_bits={"first": 8})
    assert [config.reconstructs(name) for name in ("first", "other")] == [False, True]
    assert config.with_(rounding="reconstruct").reconstructs("first")
    assert not config.with_(rounding="nearest").reconstructs("other")
