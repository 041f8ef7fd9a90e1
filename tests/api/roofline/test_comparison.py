# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from systolith.api.bundled import DIGITS, network_file
from systolith.api.flow import compile
from systolith.api.roofline.comparison import compare
from systolith.api.roofline.figures import roofline_figures
from systolith.compiler.model import predict
from systolith.spec.arch import PRESETS, Arch
from systolith.spec.link import Counter


def _rows(*archs: Arch) -> list[dict[str, object]]:
    compiled = compile(network_file("digits_cnn"), "8x8", DIGITS)
    return compare(roofline_figures(compiled.program), compiled.network, archs)


def test_rows_are_what_a_compilation_for_each_engine_gives() -> None:
    own, small, large = _rows(PRESETS["4x4"], PRESETS["16x16"])
    assert [row["arch"] for row in (own, small, large)] == ["8x8", "4x4", "16x16"]
    for row in (own, small, large):
        program = compile(network_file("digits_cnn"), str(row["arch"]), DIGITS).program
        cycles = predict(program).total[Counter.CYCLES]
        assert (row["cycles"], row["refused"]) == (cycles, None)
        assert (
            row["speed"]
            == predict(compile(network_file("digits_cnn"), "8x8", DIGITS).program).total[Counter.CYCLES] / cycles
        )
        arch = program.arch
        assert row["memory_bytes"] == arch.act_depth + arch.weight_lines * arch.weight_line_bits / 8 + (
            arch.acc_depth * arch.cols * 4
        )
    assert own["speed"] == 1


def test_an_engine_that_is_too_small_says_why() -> None:
    _, row = _rows(PRESETS["8x8"].with_(name="few", weight_lines=16))
    assert "lines are needed, arch 'few' has 16," in str(row["refused"])


def test_progress_names_the_engines() -> None:
    told: list[str] = []
    compiled = compile(network_file("digits_mlp"), "8x8", DIGITS)
    own = roofline_figures(compiled.program)
    compare(own, compiled.network, [PRESETS["4x4"]], lambda step, done, total: told.append(step))
    assert told == ["compile for 4x4"]
