# SPDX-License-Identifier: Apache-2.0
"""What the bench leaves behind; that it plays correctly is tested in ``runner/test_session.py``."""

from __future__ import annotations

import re
from array import array
from pathlib import Path

import pytest

from systolith.spec.arch import PRESETS
from systolith.testbench.job import LinkJob, read_log
from systolith.testbench.runner.build import build
from systolith.testbench.runner.cache import cache_folder
from systolith.testbench.runner.errors import EngineHung
from systolith.testbench.runner.launch import launch
from tests.support.link_memory import link_memory_design
from tests.support.simulators import COMPILED

ARCH = PRESETS["tiny"]


@pytest.mark.parametrize("simulator", COMPILED)
def test_a_hung_engine_fails_the_cocotb_test_and_leaves_a_log(simulator: str, tmp_path: Path) -> None:
    design = link_memory_design(ARCH)
    built = build(simulator, design.key, design.top, design.verilog, cache=cache_folder() / "simulators")
    job = LinkJob(arch=ARCH, words=array("I", [0xF000_0000]), quiet_limit=640, record_stores=True)
    with pytest.raises(EngineHung):
        launch(built, job, tmp_path)
    log = read_log(tmp_path)
    assert log.hung
    assert log.sent == 1
    assert 640 <= log.cycles < 700
    assert log.stores is not None
    assert "no word for the quiet limit; 1 words in, 0 words out" in (tmp_path / "simulator.log").read_text()
    assert re.search(r"<failure", (tmp_path / "results.xml").read_text())
