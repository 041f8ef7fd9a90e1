# SPDX-License-Identifier: Apache-2.0
from array import array

import pytest

from systolith.spec.arch import PRESETS
from systolith.spec.link import DONE, Space, read_command, run_command, write_command
from systolith.testbench.job import LinkJob
from systolith.testbench.pauses import Pauses
from systolith.testbench.runner.errors import SimulationError, SimulatorMissing
from systolith.testbench.runner.netlist import netlist_design, synthesise
from systolith.testbench.runner.session import Session
from tests.support.link_memory import link_memory_design
from tests.support.simulators import COMPILED

ARCH = PRESETS["tiny"]


@pytest.mark.synth
@pytest.mark.parametrize("simulator", COMPILED)
def test_a_netlist_runs_on_the_bench(simulator: str) -> None:
    pytest.importorskip("pyosys", reason="yosys is needed (get it by: pip install 'systolith[synth]')")
    words = [*write_command(Space.ACTIVATIONS, 0, 6), *range(256, 262), *run_command()]
    job = LinkJob(
        arch=ARCH,
        words=array("I", [*words, *read_command(Space.ACTIVATIONS, 0, 6)]),
        record_stores=True,
        source=Pauses(probability=0.3, seed=1),
        sink=Pauses(probability=0.3, seed=2),
    )
    log = Session(netlist_design(link_memory_design(ARCH)), simulator=simulator).exchange(job)
    assert list(log.answers) == [DONE, 257, 258, 259, 260, 260, 261]
    assert log.stores is not None
    assert log.stores.data.ravel().tolist() == [1, 2, 3, 4]


@pytest.mark.synth
def test_a_refused_design_shows_yosys_message() -> None:
    pytest.importorskip("pyosys", reason="yosys is needed (get it by: pip install 'systolith[synth]')")
    with pytest.raises(SimulationError, match=r"yosys failed with exit code \d+:\n(.|\n)*syntax error"):
        synthesise("module top(input;", "top")


def test_missing_yosys_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SimulatorMissing, match=r"get it by: pip install 'systolith\[synth\]'"):
        synthesise("", "top")


def test_the_netlist_is_another_design() -> None:
    design = link_memory_design(ARCH)
    after = netlist_design(design)
    assert after.key != design.key
    assert after.component is None
    assert after.top == design.top
