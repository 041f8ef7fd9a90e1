# SPDX-License-Identifier: Apache-2.0
"""Trained weights where they are, and that they belong to the same networks as the seeded ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from systolith.api.bench_networks.builder import SAMPLES
from systolith.api.bench_networks.catalogue import NETWORKS
from systolith.api.bench_networks.wakeword import streaming_wakeword
from systolith.api.bench_networks.zoo import trained
from tests.support.onnx_layers import layers_of

TRAINED = {network.zoo: name for name, network in NETWORKS.items() if network.zoo}


def test_without_a_zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seeded = streaming_wakeword()
    monkeypatch.delenv("SYSTOLITH_ZOO", raising=False)
    assert trained("str_ww", seeded) is None
    monkeypatch.setenv("SYSTOLITH_ZOO", str(tmp_path))
    assert trained("str_ww", seeded) is None


def test_a_network_with_and_without_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seeded, other = streaming_wakeword(), streaming_wakeword(seed=1)
    (tmp_path / "float").mkdir()
    onnx.save(other.model, tmp_path / "float" / "str_ww.onnx")
    monkeypatch.setenv("SYSTOLITH_ZOO", str(tmp_path))
    found = trained("str_ww", seeded)
    assert found is not None
    assert found.model == other.model
    assert found.samples is seeded.samples
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "str_ww_calib.npz", x=np.ones((50, 40, 30, 1)))
    found = trained("str_ww", seeded)
    assert found is not None
    assert found.samples.shape == (SAMPLES, 40, 30, 1)
    assert (found.samples == 1).all()


@pytest.mark.zoo
@pytest.mark.skipif("SYSTOLITH_ZOO" not in os.environ, reason="SYSTOLITH_ZOO names no folder of networks")
@pytest.mark.parametrize("zoo", TRAINED)
def test_every_layer_is_the_trained_network_s(zoo: str) -> None:
    seeded = NETWORKS[TRAINED[zoo]].build()
    found = trained(zoo, seeded)
    assert found is not None
    assert layers_of(seeded.model) == layers_of(found.model)
    assert found.samples.shape == seeded.samples.shape
    assert abs(found.samples).max() <= abs(seeded.samples).max() * 1.1
