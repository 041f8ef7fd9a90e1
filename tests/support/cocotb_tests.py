# SPDX-License-Identifier: Apache-2.0
"""Runs single cocotb tests of a support bench on the link memory, as part of a pytest test."""

from __future__ import annotations

from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from systolith.spec.arch import PRESETS
from systolith.testbench.runner.build import build
from systolith.testbench.runner.cache import cache_folder
from tests.support.link_memory import link_memory_design

__all__ = ["run_stream_tests"]


def run_stream_tests(simulator: str, prefix: str, folder: Path) -> int:
    """Run all tests of ``bench_streams`` whose names begin so; how many ran, all of them passed."""
    design = link_memory_design(PRESETS["tiny"])
    built = build(simulator, design.key, design.top, design.verilog, cache=cache_folder() / "simulators")
    results = folder / "results.xml"
    get_runner(simulator).test(
        test_module="tests.support.bench_streams",
        test_filter=rf"\.{prefix}",
        hdl_toplevel=design.top,
        hdl_toplevel_lang="verilog",
        build_dir=built.folder,
        test_dir=folder,
        results_xml=str(results),
    )
    count, failed = get_results(results)
    assert failed == 0
    return count
