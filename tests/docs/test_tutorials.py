# SPDX-License-Identifier: Apache-2.0
"""Each tutorial is a session: its blocks run from top to bottom, and the commands print what the page shows."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from doctest import ELLIPSIS, OutputChecker
from pathlib import Path

import pytest

from tests.support.simulators import needs
from tests.support.tutorial_networks import STAND_INS

from .test_documents import ROOT, Block, blocks, pages

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
FOREIGN = [page for page in TUTORIALS if page.name in STAND_INS]
CONVERTER = "python -m tf2onnx.convert "
"""The only command of another project."""


def is_foreign(page: Path, block: Block) -> bool:
    """Whether a block needs what this project does not install."""
    module = STAND_INS[page.name].module if page.name in STAND_INS else None
    return block.language == "python" and f"import {module}" in block.text


def execute(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600, check=False)


def run_code(code: str, folder: Path) -> None:
    done = execute([sys.executable, "-c", code], folder)
    assert done.returncode == 0, done.stderr


def run_command(line: str, folder: Path) -> str:
    """The output of a command; it ends with the exit code in the comment behind it, or 0."""
    program, *arguments = shlex.split(line, comments=True)
    start = [] if line.startswith(CONVERTER) else ["-c", "from systolith.cli.main import main; main()"]
    assert start == [] or program == "systolith", line
    done = execute([sys.executable, *start, *arguments], folder)
    stated = re.search(r"# exit code (\d)$", line)
    assert done.returncode == int(stated[1] if stated else 0), f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def differs(shown: str, printed: str) -> str:
    """Empty if the text is that shown, where ``...`` stands for any text; else both."""
    got = "".join(f"{line.rstrip()}\n" for line in printed.splitlines()).lstrip("\n")
    return "" if OutputChecker().check_output(shown, got, ELLIPSIS) else f"shown:\n{shown}\nprinted:\n{got}"


def run_session(page: Path, folder: Path, *, foreign: bool) -> None:
    """All blocks in order; with ``foreign`` those of other projects too, whose weights no output is known for.

    Python blocks continue those before them, which are run again. What is shown is the last command's output.
    """
    code, printed, ready = "", "", False
    for block in blocks(page):
        if is_foreign(page, block) and not foreign:
            STAND_INS[page.name].write(folder)
            ready = True
        elif block.language == "python":
            code += block.text
            run_code(code, folder)
        elif block.language == "sh":
            lines = [line for line in block.text.splitlines() if not (ready and line.startswith(CONVERTER))]
            printed = [run_command(line, folder) for line in lines][-1] if lines else ""
        elif not foreign:
            assert not (wrong := differs(block.text, printed)), wrong


@pytest.mark.sim
@pytest.mark.slow
@needs("verilator")
@pages(TUTORIALS)
def test_a_tutorial_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    run_session(page, tmp_path, foreign=False)


@pytest.mark.sim
@pytest.mark.slow
@needs("verilator")
@pages(FOREIGN)
def test_a_tutorial_runs_with_the_framework_it_is_about(page: Path, tmp_path: Path) -> None:
    needed = {STAND_INS[page.name].module, *(["tf2onnx"] if CONVERTER in page.read_text() else [])}
    missing = sorted(name for name in needed if importlib.util.find_spec(name) is None)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: the page ran with networks as they are exported")
    run_session(page, tmp_path, foreign=True)


@pages(FOREIGN)
def test_code_of_other_frameworks_is_found(page: Path) -> None:
    assert len([block for block in blocks(page) if is_foreign(page, block)]) == 1


def test_what_differs_is_noticed() -> None:
    assert not differs("a ...\nc\n", "\na b \nc  \n")
    for printed in ("a b\nd\n", "a b\n", "x a b\nc\n", "a b\nc\ne\n"):
        assert differs("a ...\nc\n", printed)
