# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from systolith.api.report import build_report
from systolith.api.roofline.figures import REFERENCE_MHZ, bound, roofline_figures
from systolith.compiler.lower import lower
from systolith.compiler.model import predict
from systolith.spec.arch import PRESETS
from systolith.spec.image import Program
from systolith.spec.link import Counter
from tests.support.networks import resnet8


def test_the_parts_add_up_to_the_whole(figures: dict[str, Any]) -> None:
    layers = figures["layers"]
    for key in ("macs", "cycles", "weight_bytes", "bytes_moved", "share"):
        whole = {"share": 1}.get(key, figures.get(key))
        assert sum(layer[key] for layer in layers) == pytest.approx(whole), key
    for name, value in figures["cycles_by_cause"].items():
        assert sum(layer["cycles_by_cause"][name] for layer in layers) == pytest.approx(value)
    for kind, part in figures["traffic"].items():
        assert sum(layer["traffic"][kind]["bytes"] for layer in layers) == part["bytes"]
    for part in (figures, *layers):
        assert sum(part["attribution"].values()) == pytest.approx(1)
        assert sum(part["cycles_by_cause"].values()) == pytest.approx(part["cycles"])


def test_layers_follow_each_other(figures: dict[str, Any]) -> None:
    ends = [layer["begins"] + layer["cycles"] for layer in figures["layers"]]
    assert [layer["begins"] for layer in figures["layers"]] == [0, *ends[:-1]]
    assert ends[-1] == figures["cycles"]
    assert [layer["number"] for layer in figures["layers"]] == list(range(1, len(ends) + 1))


def test_nothing_is_above_its_roof(figures: dict[str, Any]) -> None:
    """Of a layer's weights, one pass comes while the layer before still runs."""
    for part in (figures, *figures["layers"]):
        for port in ("weights", "activations"):
            roof = part["intensity"][port]["roof_macs_per_cycle"]
            assert roof is None or part["macs_per_cycle"] <= 1.1 * roof
        assert part["macs_per_cycle"] <= figures["roofs"]["macs_per_cycle"]
    assert figures["macs_per_cycle"] <= figures["intensity"]["weights"]["roof_macs_per_cycle"]


def test_figures_are_those_of_the_compiler_s_report() -> None:
    graph = resnet8()
    program = lower(graph, PRESETS["8x8"])
    ours, theirs = roofline_figures(program), build_report(program, graph)
    for key in ("cycles", "macs", "counters", "attribution", "memory", "arch", "weight_bytes"):
        assert ours[key] == theirs[key], key
    for mine, other in zip(ours["layers"], theirs["layers"], strict=True):
        assert (mine["name"], mine["cycles"], mine["utilisation"]) == (
            other["name"],
            other["cycles"],
            other["utilisation"],
        )


def test_json_keeps_everything(figures: dict[str, Any]) -> None:
    assert json.loads(json.dumps(figures)) == figures


def test_times_go_with_the_clock(programs: dict[str, Program]) -> None:
    program = programs["digits_cnn"]
    reference, given = (roofline_figures(program, clock)["at_clock"] for clock in (None, 2 * REFERENCE_MHZ))
    assert (reference["reference"], given["reference"]) == (True, False)
    assert reference["latency_us"] == pytest.approx(predict(program).total[Counter.CYCLES] / REFERENCE_MHZ)
    assert given["latency_us"] * given["inferences_per_second"] == pytest.approx(1e6)
    assert given["gmacs_per_second"] == pytest.approx(2 * reference["gmacs_per_second"])


def test_roofs_are_the_engine_s(programs: dict[str, Program]) -> None:
    roofs = roofline_figures(programs["digits_cnn"])["roofs"]
    assert roofs == {"macs_per_cycle": 64, "weight_bytes_per_cycle": 16, "activation_bytes_per_cycle": 8}


def test_layers_are_bound_by_what_one_expects(programs: dict[str, Program]) -> None:
    bounds = {layer["name"]: layer["bound"] for layer in roofline_figures(programs["digits_cnn"])["layers"]}
    assert bounds["pool2"] == "vector unit"
    assert bounds["conv3"] == "multipliers"
    assert {layer["bound"] for layer in roofline_figures(programs["digits_mlp"])["layers"]} == {"weight port"}


@pytest.mark.parametrize(
    ("most", "name"),
    [(Counter.LANES, "lanes"), (Counter.MEMORY, "act. memory"), (Counter.ACTIVE, "padding"), (Counter.DRAIN, "drain")],
)
def test_a_layer_is_bound_by_the_largest_cause(most: Counter, name: str) -> None:
    counters = dict.fromkeys(Counter, 3) | {Counter.WORK: 0, most: 4}
    assert bound(counters, PRESETS["8x8"]) == name


def test_savings_are_bounds(figures: dict[str, Any]) -> None:
    for name, factor in figures["speed_up_without"].items():
        rest = figures["cycles"] - figures["cycles_by_cause"][name]
        assert factor == pytest.approx(figures["cycles"] / rest)
    assert "useful" not in figures["speed_up_without"]


def test_a_network_without_macs(pooled: Program) -> None:
    figures = roofline_figures(pooled)
    assert figures["utilisation"] == figures["macs"] == 0
    assert figures["intensity"]["weights"] == {"macs_per_byte": None, "roof_macs_per_cycle": None}
    assert figures["traffic"]["windows"]["bytes_per_mac"] is None


def test_the_document_lists_every_key(figures: dict[str, Any]) -> None:
    text = (Path(__file__).parents[3] / "docs" / "report.md").read_text()
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == set(figures)
    own = re.search(r"^\| `layers` .*$", text, re.MULTILINE)
    assert own is not None
    for layer in figures["layers"]:
        assert set(layer) - set(figures) == set(re.findall(r"`(\w+)`", own[0])) - {"layers"}
