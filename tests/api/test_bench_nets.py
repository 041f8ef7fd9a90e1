# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from systolith.api import checks
from systolith.api.bench_nets import bench_nets
from systolith.api.bench_networks.builder import BenchModel, NetworkBuilder
from systolith.api.bench_networks.catalogue import NETWORKS, BenchNetwork
from systolith.compiler.model import Prediction, predict
from systolith.spec.arch import PRESETS
from systolith.spec.image import Program
from systolith.spec.link import Counter

KEYS = {"net", "arch", "cycles", "macs", "utilisation", "model_cycles", "exact", "attribution"}
"""What every record has."""


def _small() -> BenchModel:
    net = NetworkBuilder("small", (2, 6, 6), low=0, high=1)
    x = net.conv("input", 4, pads=(1, 1, 1, 1))
    return net.model(net.gemm(net.flat_average(x), 3))


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more network, small enough for the slowest simulator."""
    network = BenchNetwork(build=_small, targets={"tiny": 1}, variants={"tiny": {"name": "wide", "weight_rows": 2}})
    monkeypatch.setitem(NETWORKS, "small", network)
    monkeypatch.delenv("SYSTOLITH_ZOO", raising=False)


def check_record(record: Mapping[str, Any]) -> None:
    assert set(record) >= KEYS
    assert record["macs"] == 2 * 9 * 4 * 36 + 4 * 3
    assert record["cycles"] == record["model_cycles"]
    slots = record["cycles"] * PRESETS[{"wide": "tiny"}.get(record["arch"], record["arch"])].rows ** 2
    assert record["utilisation"] == pytest.approx(record["macs"] / slots)
    assert sum(record["attribution"].values()) == pytest.approx(1)
    assert record["attribution"]["useful"] == pytest.approx(record["utilisation"])


def test_networks_run_in_rtl_and_are_exact() -> None:
    steps: list[tuple[str, int, int]] = []
    figures = bench_nets(archs=["tiny"], nets=["small"], simulator="amaranth", step=lambda *seen: steps.append(seen))
    assert [(one["net"], one["arch"]) for one in figures["records"]] == [("small", "tiny"), ("small", "wide")]
    for record in figures["records"]:
        check_record(record)
        assert (record["exact"], record["findings"], record["weights"]) == (True, [], "seeded")
    assert [record["target_cycles"] for record in figures["records"]] == [1, None]
    assert ("small on wide", 1, 2) in steps
    assert [figure["target"] for figure in figures["figures"]] == ["< 20 ms", ">= 1,000"]
    assert figures["measured_in"] == "RTL"


def test_other_cycles_than_the_model_s_are_not_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(program: Program) -> Prediction:
        right = predict(program)
        parts = ({**right.descriptors[0], Counter.ACTIVE: 0}, *right.descriptors[1:])
        return Prediction(right.total, parts)

    monkeypatch.setattr(checks, "predict", wrong)
    (record, _) = bench_nets(archs=["tiny"], nets=["small"], simulator="amaranth")["records"]
    assert record["exact"] is False
    assert all("layer 'conv1', tile 0 (descriptor 0): counter ACTIVE is" in text for text in record["findings"])


def test_the_model_alone_proves_nothing() -> None:
    figures = bench_nets(archs=["4x4", "8x8"], nets=["small", "gemm_64"], rtl=False)
    records = {(one["net"], one["arch"]): one for one in figures["records"]}
    assert list(records) == [("small", "4x4"), ("gemm_64", "4x4"), ("small", "8x8"), ("gemm_64", "8x8")]
    check_record(records["small", "8x8"])
    assert {one["exact"] for one in records.values()} == {None}
    assert records["gemm_64", "8x8"]["target_utilisation"] is None
    assert figures["measured_in"] == "cycle model"
    assert [figure["name"] for figure in figures["figures"]] == ["cycle model"]
