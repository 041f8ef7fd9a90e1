# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from systolith.api.accuracy import float_classes, integer_classes, share_correct
from systolith.api.flow import compile
from tests.support.builds import SmallBuild


def test_share() -> None:
    assert share_correct(np.array([1, 2, 3, 4]), np.array([1, 2, 0, 4])) == 0.75


def test_float_and_integers_mostly_agree(small: SmallBuild) -> None:
    compiled = compile(small.model, "tiny", small.calibration)
    inputs = np.load(small.calibration)["x"]
    as_float = float_classes(compiled.source, inputs)
    as_integers = integer_classes(compiled.network, inputs, 32)
    assert as_float.shape == as_integers.shape == (len(inputs),)
    assert share_correct(as_integers, as_float) >= 0.9
