# SPDX-License-Identifier: Apache-2.0
import pytest

from systolith.testbench.runner.errors import EngineHung, SimulationError, SimulatorMissing


@pytest.mark.parametrize("kind", [EngineHung, SimulatorMissing])
def test_one_except_clause_catches_all(kind: type[SimulationError]) -> None:
    with pytest.raises(SimulationError, match="why"):
        raise kind("why")
