# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from systolith.testbench import tools
from systolith.testbench.tools import Tool, choose_simulator, cpp_compiler, find_tools, missing_tools


def found(*names: str) -> tuple[Tool, ...]:
    """All tools, of which only those named are there."""
    known = {name for needs in tools.SIMULATORS.values() for name in needs}
    return tuple(Tool(name=n, purpose="", version="1" if n in names else "", get=f"get {n}") for n in sorted(known))


ALL = ("cocotb", "verilator", "g++", "make", "iverilog", "amaranth")


def test_every_needed_tool_is_looked_for() -> None:
    names = {tool.name for tool in find_tools()}
    assert names == {name for needs in tools.SIMULATORS.values() for name in needs} | {"perl"}


def test_amaranth_is_found_with_version_and_path() -> None:
    amaranth = next(tool for tool in find_tools() if tool.name == "amaranth")
    assert amaranth.found
    assert amaranth.version.startswith("0.5")
    assert Path(amaranth.path).is_dir()


def test_a_tool_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    icarus = next(tool for tool in find_tools() if tool.name == "iverilog")
    assert not icarus.found
    assert icarus.get == "apt install iverilog (optional)"


def test_the_compiler_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert cpp_compiler() is None


def test_a_tool_that_does_not_run_is_not_found(tmp_path: Path) -> None:
    broken = tmp_path / "iverilog"
    broken.write_text("not a program")
    broken.chmod(0o755)
    assert tools._ask_version(str(broken), "-V") == ""


def test_verilator_is_the_first_choice() -> None:
    assert choose_simulator(found(*ALL)) == ("verilator", "")


def test_without_a_compiler_icarus_is_next_and_says_so() -> None:
    simulator, note = choose_simulator(found("cocotb", "verilator", "make", "iverilog", "amaranth"))
    assert simulator == "icarus"
    assert note == "verilator needs g++ (get g++). Using icarus, which is slower."


def test_amaranth_is_the_last_resort() -> None:
    simulator, note = choose_simulator(found("amaranth"))
    assert simulator == "amaranth"
    assert "icarus needs cocotb (get cocotb), iverilog (get iverilog)." in note


def test_nothing_at_all() -> None:
    with pytest.raises(LookupError, match="amaranth needs amaranth"):
        choose_simulator(found())


def test_missing_tools_of_one_simulator() -> None:
    assert [tool.name for tool in missing_tools("icarus", found("cocotb"))] == ["iverilog"]


def test_the_environment_of_verilator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "/bin")
    environment = tools.verilator_environment(tmp_path)
    assert environment["VERILATOR_ROOT"] == str(tmp_path)
    assert environment["PATH"] == f"{tmp_path / 'bin'}:/bin"
