# SPDX-License-Identifier: Apache-2.0
"""What an installation contains, and that the metadata agrees with itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SOURCE_ROOTS = ["hdl", "compiler", "testbench", "boards", "scripts"]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _tracked(*folders: str) -> set[str]:
    """Files under ``folders`` that git keeps, and so a release."""
    listing = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in listing.stdout.split("\0") if name and (ROOT / name).exists()}


def _built(target: str, folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (archive,) = folder.iterdir()
    return archive


def test_wheel_holds_every_tracked_file_of_the_portions_and_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(_built("wheel", tmp_path)) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    want = {name.partition("/")[2] for name in _tracked(*(f"{root}/systolith" for root in SOURCE_ROOTS))}
    assert want - packed == set()
    assert {name for name in packed if not name.startswith("systolith/")} == set()
    assert [name for name in packed if "__pycache__" in name] == []


def test_source_release_can_be_built_from(tmp_path: Path) -> None:
    with tarfile.open(_built("sdist", tmp_path)) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert _tracked(*SOURCE_ROOTS, "tests", "LICENSE") - packed == set()
    assert not [name for name in packed if name.startswith((".venv", "build/", "dist/"))]


def test_every_source_root_is_named_wherever_roots_are() -> None:
    build = PYPROJECT["tool"]["hatch"]["build"]
    assert build["dev-mode-dirs"] == SOURCE_ROOTS
    assert build["targets"]["wheel"]["sources"] == SOURCE_ROOTS
    assert build["targets"]["wheel"]["only-include"] == [f"{root}/systolith" for root in SOURCE_ROOTS]
    assert PYPROJECT["tool"]["ruff"]["src"] == [".", *SOURCE_ROOTS]
    assert PYPROJECT["tool"]["mypy"]["mypy_path"].split(":") == SOURCE_ROOTS


def test_every_dependency_says_why() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    requirement = re.compile(r'^ +"([a-z][a-z0-9-]*)(>=[0-9.]+(,<[0-9.]+)?|\[[a-z]+\])",$')
    named = [index for index, line in enumerate(lines) if requirement.match(line)]
    extras = PYPROJECT["project"]["optional-dependencies"]
    declared = PYPROJECT["project"]["dependencies"] + [
        name for extra in extras if extra != "all" for name in extras[extra]
    ]
    assert len(named) == len(declared)
    assert [lines[index] for index in named if not lines[index - 1].lstrip().startswith("# ")] == []


def test_extra_all_is_every_other_extra_but_the_one_that_holds_numpy_back() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert everything == f"systolith[{','.join(extra for extra in extras if extra not in ('all', 'compare'))}]"


@pytest.mark.parametrize("root", [*SOURCE_ROOTS, "tests"])
def test_sources_begin_with_the_licence(root: str) -> None:
    sources = [name for name in _tracked(root) if name.endswith(".py")]
    assert sources
    first = "# SPDX-License-Identifier: Apache-2.0"
    assert [name for name in sources if (ROOT / name).read_text().partition("\n")[0] != first] == []


@pytest.mark.parametrize("script", ["scripts/test", "scripts/demo", ".ci/run"])
def test_entry_points_are_executable_bash(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111 == 0o111
    assert path.read_text().startswith("#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\n")
    subprocess.run(["bash", "-n", str(path)], check=True)
