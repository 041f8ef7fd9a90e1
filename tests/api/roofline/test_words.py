# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from systolith.api.attribution import CAUSES
from systolith.api.roofline.words import (
    CLASS_NAMES,
    class_name,
    clip,
    data_size,
    duration,
    engine_facts,
    layers_of,
    percent,
    quantity,
    times,
)
from systolith.spec.arch import PRESETS


def test_every_class_has_a_name() -> None:
    assert set(CLASS_NAMES) == set(CAUSES)
    assert class_name("some_other") == "some other"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0, "0"), (1234567, "1,234,567"), (2.5, "2.5"), (2.0, "2"), (1234.5, "1,234")]
)
def test_quantities(value: float | None, text: str) -> None:
    assert quantity(value) == text


def test_units() -> None:
    assert [data_size(amount) for amount in (12, 4610, 1.5e6, 2e9)] == ["12 B", "4.61 kB", "1.5 MB", "2 GB"]
    assert [duration(time) for time in (47.82, 5110)] == ["47.8 µs", "5.11 ms"]
    assert (percent(0.7694), percent(1, 2), times(1.064)) == ("76.9 %", "100.00 %", "x 1.06")


@pytest.mark.parametrize("width", [8, 13, 20])
def test_long_names_keep_both_ends(width: int) -> None:
    name = "model/stage3/block1/conv_7_QuantizeLinear_Output"
    short = clip(name, width)
    assert len(short) == width
    head, tail = short.split("…")
    assert name.startswith(head)
    assert name.endswith(tail)
    assert clip("conv1", width) == "conv1"


def test_lifetimes_count_layers_from_one() -> None:
    inner = {"role": "inner", "first_layer": 0, "last_layer": 2}
    assert layers_of(inner) == "1 to 3"
    assert layers_of(inner | {"role": "input", "first_layer": -1}) == "host to 3"
    assert layers_of(inner | {"role": "output"}) == "1 to host"


def test_facts_of_an_engine() -> None:
    arch = PRESETS["16x16"]
    facts = dict(engine_facts(arch.to_json() | {"hash": f"{arch.hash:08x}"}))
    assert facts["array"] == "16 x 16 (R x C)"
    assert facts["weight memory"] == data_size(arch.weight_lines * arch.weight_line_bits / 8) == "270 kB"
    assert facts["activation memory"] == f"2 x {data_size(arch.act_depth / 2)}"
    assert facts["hash"] == f"{arch.hash:08x}"
