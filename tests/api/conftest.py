# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from tests.support.builds import SmallBuild, make_small


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallBuild:
    """The small network, compiled; shared, so not to be changed."""
    return make_small(tmp_path_factory.mktemp("small"))
