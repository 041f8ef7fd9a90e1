# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from systolith.api.bundled import DIGITS, network_file
from systolith.api.flow import compile
from systolith.api.roofline.figures import roofline_figures
from systolith.compiler.lower import lower
from systolith.spec.arch import PRESETS
from systolith.spec.image import Program
from tests.support.builds import SmallBuild, make_small
from tests.support.networks import NetworkBuilder, resnet8


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBuild:
    """The small network, compiled; shared, so not to be changed."""
    return make_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def programs() -> dict[str, Program]:
    """Networks that differ in what bounds them: multipliers, weights, tiles with residual adds."""
    return {
        "digits_cnn": compile(network_file("digits_cnn"), "8x8", DIGITS).program,
        "digits_mlp": compile(network_file("digits_mlp"), "4x4", DIGITS).program,
        "resnet8": lower(resnet8(), PRESETS["16x16"]),
    }


@pytest.fixture(scope="session")
def pooled() -> Program:
    """A network without a single MAC."""
    net = NetworkBuilder(rng=np.random.default_rng(0))
    return lower(net.graph("pooled", net.average(net.input(8, 4, 4))), PRESETS["8x8"])


@pytest.fixture(params=["digits_cnn", "digits_mlp", "resnet8"])
def figures(request: pytest.FixtureRequest, programs: dict[str, Program]) -> dict[str, Any]:
    """All figures of each network."""
    return roofline_figures(programs[request.param])
