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
        "mse",
        True,
    )


def test_bits_come_from_the_arch() -> None:
    arch = PRESETS["tiny"].with_(weight_bits=4, narrow_weights=False, act_bits=16, tables=0, acc_bits=40)
    config = QuantiseConfig.for_arch(arch, method="percentile", percentile=99.0)
    assert config == QuantiseConfig(weight_bits=4, act_bits=16, acc_bits=40, method="percentile", percentile=99.0)


def test_tables_come_from_the_arch() -> None:
    assert QuantiseConfig.for_arch(PRESETS["8x8"]).tables == PRESETS["8x8"].tables > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "entropy"}, "calibration method 'entropy'; accepted: min-max, percentile, mse"),
        ({"percentile": 101.0}, "percentile 101.0; accepted: above 50, up to 100"),
        ({"percentile": float("nan")}, "percentile nan; accepted"),
        ({"weight_bits": 1}, r"weight_bits 1; accepted: 2\.\.16"),
        ({"act_bits": 17}, r"act_bits 17; accepted: 4\.\.16"),
        ({"acc_bits": 8}, r"acc_bits 8; accepted: 16\.\.64"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(QuantisationError, match=message):
        QuantiseConfig(**options)
