# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from systolith.api import checks
from systolith.api.build_folder import BuildFolder
from systolith.api.checks import check, collect_samples
from systolith.compiler.model import Prediction, predict
from systolith.spec.image import Program
from systolith.spec.link import Counter
from tests.support.builds import SAMPLES, SmallBuild


def _names(small: SmallBuild, real: int, randoms: int) -> list[str]:
    build = BuildFolder(small.folder)
    samples = collect_samples(build, build.program(), build.network(), real=real, randoms=randoms, seed=0)
    return [sample.name for sample in samples]


def test_samples_are_named(small: SmallBuild) -> None:
    assert _names(small, 2, 1) == ["stored 0", "stored 1", "random 0"]
    assert _names(small, 0, 1) == ["random 0"]
    assert len(_names(small, 1000, 0)) == SAMPLES


def test_random_samples_reach_the_whole_range(small: SmallBuild) -> None:
    build = BuildFolder(small.folder)
    samples = collect_samples(build, build.program(), build.network(), real=0, randoms=40, seed=1)
    values = np.concatenate([sample.inputs["input"] for sample in samples])
    assert (values.min(), values.max()) == (-128, 127)


def test_every_back_end_agrees(small: SmallBuild) -> None:
    steps: list[str] = []
    figures = check(
        BuildFolder(small.folder),
        simulator="amaranth",
        samples=1,
        randoms=1,
        step=lambda name, done, total: steps.append(name),
    )
    assert figures["equal"] is True
    assert (figures["real"], figures["random"], figures["elements"]) == (1, 1, 6)
    assert figures["stores"] > 0
    assert steps[0] == "integer reference"
    assert steps[-1] == "compare"


def test_the_layer_and_the_cause_of_other_cycles_are_named(small: SmallBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the cycle model had forgotten one wait."""

    def forgetful(program: Program) -> Prediction:
        right = predict(program)
        parts = [dict(part) for part in right.descriptors]
        parts[1][Counter.LANES] -= 1
        return Prediction(right.total, tuple(parts))

    monkeypatch.setattr(checks, "predict", forgetful)
    figures = check(BuildFolder(small.folder), simulator="amaranth", samples=1, randoms=0)
    (finding,) = figures["findings"]
    layer = BuildFolder(small.folder).program().layers[1]
    assert finding.startswith(f"run 0: layer {layer.name!r}, tile 0 (descriptor 1): counter LANES is ")
