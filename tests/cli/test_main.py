# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

import systolith.cli.main as cli
from systolith.cli.exit_codes import ExitCode
from systolith.cli.main import COMMANDS, main
from tests.support.command import run


def test_help_lists_commands_and_exit_codes() -> None:
    outcome = run("--help")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [line.split() for line in outcome.out.splitlines()]
    listed = [words[0] for words in lines if words and words[0] in COMMANDS]
    assert listed == list(COMMANDS)
    for code in ExitCode:
        assert f"{int(code)}  {code.meaning}" in outcome.out


@pytest.mark.parametrize("command", [*COMMANDS, "bench tools", "bench nets", "bench physical", "bench conformance"])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_of_every_command(command: str, flag: str) -> None:
    outcome = run(*command.split(), flag)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: systolith {command}")
    assert len(outcome.out.splitlines()) > 4


def test_version() -> None:
    assert run("--version").out.startswith("systolith, version ")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["compile"], ["archs", "--nonsense"], ["verify", "x", "--samples", "-1"]]
)
def test_wrong_command_line(arguments: list[str]) -> None:
    outcome = run(*arguments)
    assert outcome.code == ExitCode.USAGE
    assert "Error: " in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize("code", [0, 6])
def test_exit_code_that_a_command_asks_for(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(cli.systolith, "invoke", lambda context: context.exit(code))
    assert run("archs").code == code


@pytest.mark.parametrize(("error", "code"), [(click.Abort(), 130), (BrokenPipeError(), 141)])
def test_interruptions(monkeypatch: pytest.MonkeyPatch, error: Exception, code: int) -> None:
    def stop(context: click.Context) -> None:
        raise error

    monkeypatch.setattr(cli.systolith, "invoke", stop)
    assert run("archs").code == code


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(context: click.Context) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(cli.systolith, "invoke", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        main(["archs"])


def test_installed_command() -> None:
    command = Path(sys.executable).with_name("systolith")
    reply = subprocess.run([command, "archs", "nonsense"], capture_output=True, text=True, check=False)
    assert reply.returncode == ExitCode.INPUT
    assert reply.stdout == ""
    (line,) = reply.stderr.splitlines()
    assert line.startswith("systolith: arch 'nonsense' is neither a file nor a preset")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, systolith.cli.main as cli; cli.systolith.main(['--help'], standalone_mode=False);"
        "print(sorted(set(sys.modules) & {'numpy', 'amaranth', 'onnx', 'cocotb'}))"
    )
    reply = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert reply.stdout.splitlines()[-1] == "[]"
