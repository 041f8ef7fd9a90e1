# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from systolith.cli.accuracy_view import accuracy_view

QUALITY = {"snr": 30.0, "lost_points": 0.25}
FIGURES: dict[str, Any] = {
    "network": "net",
    "arch": "8x8",
    "samples": 1500,
    "float": {"correct": 1350, "of": 1500, "top1": 0.9, "interval95": [0.88, 0.92]},
    "integer": {"correct": 1335, "of": 1500, "top1": 0.89, "interval95": [0.87, 0.91]},
    "comparison": {
        "snr": 31.25,
        "agreement": 0.98,
        "agreement_interval95": [0.97, 0.99],
        "turned_wrong": 20,
        "turned_right": 5,
        "drop_points": 1.0,
        "drop_interval95": [0.4, 1.6],
    },
    "quantisation": {
        "method": "mse",
        "equalised": True,
        "weight_bits": {"a": 8, "b": 4},
        "weight_bytes": 600,
        "search": {"measure": "top-1", "drop": 0.4, "bytes_before": 1000},
    },
    "layers": [
        {"name": "a", "op": "Conv", "weight_bits": 8, "snr": 40.0, "alone": QUALITY, "weights_alone": QUALITY}
        | {"result_alone": {"snr": 50.0, "lost_points": 0.0}},
        {"name": "pool", "op": "MaxPool", "weight_bits": None, "snr": 41.0, "alone": QUALITY, "weights_alone": None}
        | {"result_alone": QUALITY},
    ],
    "worst": ["a"],
    "advice": [{"change": "8-bit weights for layer b", "how": "--layer-weights b=8", "gain": 2.25}],
    "layer_samples": 64,
}


def text(figures: dict[str, Any]) -> str:
    console = Console(file=StringIO(), width=300, record=True, markup=False)
    console.print(accuracy_view(figures))
    return console.export_text()


def test_everything_is_said() -> None:
    shown = text(FIGURES)
    for part in (
        "net with the widths of 8x8, 1,500 samples",
        "float    90.0 % as labelled (95 % interval 88.0 % .. 92.0 %)",
        "integers 89.0 % as labelled",
        "98.0 % classified alike, signal to noise 31.2 dB; 20 turned wrong, 5 turned right: a drop of 1.0 points",
        "ranges by mse, equalised, weights of 4, 8 bits (600 bytes): 60% of the widest, for 0.40 points of top-1",
        "worst    a: quantised alone",
        "helps    8-bit weights for layer b: +2.2 dB at the outputs (--layer-weights b=8)",
    ):
        assert part in shown, part
    row = next(line for line in shown.splitlines() if "MaxPool" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == [
        "pool",
        "MaxPool",
        "-",
        "41.0",
        "30.0",
        "-",
        "30.0",
        "0.25",
    ]


def test_without_labels_and_layers() -> None:
    error = {"mean_squared_error": 0.125}
    figures = FIGURES | {"float": error, "integer": error, "layers": [], "worst": [], "advice": []}
    shown = text(figures | {"comparison": {"snr": 31.25, "agreement": 0.98}})
    assert "float    mean squared difference of outputs and inputs 0.125" in shown
    assert "drop" not in shown
    assert "worst" not in shown


def test_a_network_that_came_quantised() -> None:
    figures = FIGURES | {"float": None, "comparison": None, "quantisation": {}, "layers": [], "worst": [], "advice": []}
    shown = text(figures)
    assert "integers 89.0 % as labelled" in shown
    assert "float" not in shown


def test_nothing_that_helps_is_said_too() -> None:
    assert "helps    nothing that was tried gains half a decibel" in text(FIGURES | {"advice": []})
