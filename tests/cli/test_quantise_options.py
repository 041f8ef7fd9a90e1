# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from systolith.cli.quantise_options import Choices, quantise_options
from systolith.compiler.weight_search import Allowance
from systolith.spec.arch import PRESETS


def parsed(*arguments: str) -> Choices:
    found: list[Choices] = []

    @click.command()
    @click.option("--other", default=1)
    @quantise_options
    def command(other: int, choices: Choices) -> None:
        found.append(choices)

    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return found[0]


def test_defaults_leave_everything_to_measurement() -> None:
    choices = parsed()
    config = choices.config(PRESETS["tiny"])
    assert (config.method, config.equalise, config.rounding, config.symmetric) == ("auto", "auto", "auto", False)
    assert (config.default_bits, dict(config.layer_bits), choices.allowance) == (None, {}, None)


def test_every_option_arrives() -> None:
    choices = parsed(
        *("--method", "entropy", "--weights", "4", "--layer-weights", "a=b=8", "--layer-weights", "c=2"),
        *("--symmetric", "--equalise", "off", "--rounding", "nearest"),
    )
    config = choices.config(PRESETS["tiny"])
    assert (config.method, config.equalise, config.rounding, config.symmetric) == ("entropy", "off", "nearest", True)
    assert (config.default_bits, dict(config.layer_bits)) == (4, {"a=b": 8, "c": 2})
    assert (choices.allowance, choices.labels) == (None, None)


def test_widths_to_choose_from() -> None:
    choices = parsed("--weights", "auto:2,4,8", "--max-drop", "1.5", "--labels", "y.npy")
    assert choices.labels == Path("y.npy")
    assert choices.allowance == Allowance(bits=(2, 4, 8), max_drop=1.5)
    assert choices.config(PRESETS["tiny"]).default_bits is None


@pytest.mark.parametrize("value", ["16", "4,8", "auto", "auto:", "auto:3", "x"])
def test_refuses_other_widths(value: str) -> None:
    with pytest.raises(click.BadParameter, match=f"'{value}' is none of 8, 4, 2, auto:4,8, auto:2,4,8"):
        parsed("--weights", value)


def test_labels_without_a_search_would_do_nothing() -> None:
    with pytest.raises(click.UsageError, match="--labels is for the search of --weights auto:4,8"):
        parsed("--labels", "y.npy")


@pytest.mark.parametrize("value", ["conv1", "conv1=x", "=4"])
def test_refuses_what_is_not_a_layer_and_its_bits(value: str) -> None:
    with pytest.raises(click.BadParameter, match=f"'{value}' is not a layer's name, an equals sign and its bits"):
        parsed("--layer-weights", value)
