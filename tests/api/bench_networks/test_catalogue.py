# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from systolith.api.bench_networks.catalogue import NETWORKS
from systolith.spec.arch import PRESETS


def test_targets_name_arrays() -> None:
    arrays = {
        array.name for network in NETWORKS.values() for arch in PRESETS.values() for array in network.arrays(arch)
    }
    for network in NETWORKS.values():
        assert set(network.targets) | set(network.shares) <= arrays


def test_an_array_with_a_variant() -> None:
    plain, wide = NETWORKS["ad_autoencoder"].arrays(PRESETS["16x16"])
    assert plain is PRESETS["16x16"]
    assert (wide.name, wide.weight_rows, wide.rows) == ("16x16-wl4", 4, 16)
    assert NETWORKS["ad_autoencoder"].arrays(PRESETS["8x8"]) == [PRESETS["8x8"]]


def test_weights_are_seeded_without_a_zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYSTOLITH_ZOO", raising=False)
    _, is_trained = NETWORKS["resnet8"].model()
    assert not is_trained
