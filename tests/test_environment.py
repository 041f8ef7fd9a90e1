# SPDX-License-Identifier: Apache-2.0
"""scripts/environment.sh: what it says when a machine lacks something, and when it uses .venv again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "environment.sh"

# Answers like a Python new enough whose venv has no pip to install with; what it is asked for goes to calls.txt.
PYTHON_OF_A_TEST = """#!/bin/bash
echo "$@" >>"{log}"
case "$*" in
    "-m venv --clear .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *pip\\ install*) exit {pip_exit} ;;
esac
"""

PYTHON_WITHOUT_VENV = """#!/bin/bash
[[ "$*" != *ensurepip* ]]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


def _python(checkout: Path, text: str) -> str:
    path = checkout / "python"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def _working_python(checkout: Path, *, pip_exit: int = 0) -> str:
    return _python(checkout, PYTHON_OF_A_TEST.format(log=checkout / "calls.txt", pip_exit=pip_exit))


def _environment(checkout: Path, extra: str, python: str) -> subprocess.CompletedProcess[str]:
    (checkout / "calls.txt").write_text("")
    return subprocess.run(
        ["bash", "-c", f"source {SCRIPT} && environment {extra}"],
        cwd=checkout,
        env=os.environ | {"PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )


def _calls(checkout: Path, part: str) -> int:
    return sum(part in call for call in (checkout / "calls.txt").read_text().splitlines())


def test_no_python_is_one_clear_refusal(checkout: Path) -> None:
    result = _environment(checkout, "all", "/nonexistent/python")
    assert result.returncode == 1
    assert "Python 3.11 or newer is needed; looked for: /nonexistent/python." in result.stderr
    assert not (checkout / ".venv").exists()


def test_python_without_venv_names_the_package_to_install(checkout: Path) -> None:
    result = _environment(checkout, "all", _python(checkout, PYTHON_WITHOUT_VENV))
    assert result.returncode == 1
    assert "apt install python3-venv" in result.stderr
    assert not (checkout / ".venv").exists()


def test_environment_is_used_again_for_a_smaller_extra_only(checkout: Path) -> None:
    python = _working_python(checkout)
    assert _environment(checkout, "sim", python).returncode == 0
    assert _calls(checkout, "pip install") == 1
    assert _environment(checkout, "sim", python).returncode == 0
    assert _calls(checkout, "pip install") == 0
    assert _environment(checkout, "all", python).returncode == 0
    assert _calls(checkout, "pip install") == 1
    assert _environment(checkout, "sim", python).returncode == 0
    assert _calls(checkout, "pip install") == 0


def test_changed_project_is_installed_into_the_same_environment(checkout: Path) -> None:
    python = _working_python(checkout)
    _environment(checkout, "all", python)
    (checkout / "pyproject.toml").write_text("[project]\nname = 'changed'\n")
    assert _environment(checkout, "all", python).returncode == 0
    assert _calls(checkout, "pip install") == 1
    assert _calls(checkout, "-m venv") == 0


def test_interrupted_installation_is_taken_up_again(checkout: Path) -> None:
    assert _environment(checkout, "all", _working_python(checkout, pip_exit=1)).returncode == 1
    (checkout / ".venv/bin/python").write_text(Path(_working_python(checkout)).read_text())
    assert _environment(checkout, "all", str(checkout / "python")).returncode == 0
    assert _calls(checkout, "-m venv") == 0
    assert _calls(checkout, "pip install") == 1


def test_moved_checkout_gets_a_new_environment(checkout: Path) -> None:
    moved = checkout / "moved"
    moved.mkdir()
    python = _working_python(checkout)
    _environment(checkout, "all", python)
    (checkout / ".venv").rename(moved / ".venv")
    (checkout / "pyproject.toml").rename(moved / "pyproject.toml")
    (moved / "calls.txt").write_text("")
    assert _environment(moved, "all", python).returncode == 0
    assert _calls(checkout, "-m venv") == 2
