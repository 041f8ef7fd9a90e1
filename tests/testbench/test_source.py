# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from tests.support.cocotb_tests import run_stream_tests
from tests.support.simulators import COMPILED


@pytest.mark.parametrize("simulator", COMPILED)
def test_rules_hold_in_the_simulator(simulator: str, tmp_path: Path) -> None:
    assert run_stream_tests(simulator, "source", tmp_path) == 2
