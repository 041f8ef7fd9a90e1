# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

from systolith.boards import tools
from systolith.boards.tools import MissingTool, find_tool, variable


def _tool(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_variable_is_spelt_as_in_amaranth() -> None:
    assert variable("nextpnr-ecp5") == "NEXTPNR_ECP5"


def test_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _tool(tmp_path, "mine")
    monkeypatch.setenv("YOSYS", str(path))
    assert find_tool("yosys") == [str(path)]


def test_wrong_environment_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICEPACK", "/none/icepack")
    with pytest.raises(MissingTool, match="icepack: ICEPACK says '/none/icepack', which is not an executable"):
        find_tool("icepack")


def test_beside_python_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ICEPACK", raising=False)
    beside, path = tmp_path / "beside", tmp_path / "path"
    beside.mkdir()
    path.mkdir()
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setenv("PATH", str(path))
    with pytest.raises(MissingTool, match=r"icepack is not installed .*pip install 'systolith\[synth\]'"):
        find_tool("icepack")
    assert find_tool_after(_tool(path, "yowasp-icepack")) == "yowasp-icepack"
    assert find_tool_after(_tool(path, "icepack")) == "icepack"
    assert find_tool("icepack") == [str(path / "icepack")]
    here = _tool(beside, "yowasp-icepack")
    assert find_tool("icepack") == [str(here)]


def find_tool_after(path: Path) -> str:
    """The name found now that ``path`` is there."""
    assert path.is_file()
    return Path(find_tool("icepack")[0]).name


def test_native_yosys_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YOSYS", raising=False)
    monkeypatch.setattr(tools, "find_spec", lambda name: object())
    assert find_tool("yosys") == [sys.executable, "-m", "systolith.boards.yosys"]
