# SPDX-License-Identifier: Apache-2.0
"""The command line in this process, as a shell sees it: exit code, stdout and stderr."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from systolith.cli.main import main

__all__ = ["Outcome", "run"]


@dataclass(frozen=True)
class Outcome:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one line that says what is wrong; fails unless there is exactly one and everything else is progress."""
        lines = [line for line in self.err.splitlines() if line.startswith("systolith: ")]
        others = [line for line in self.err.splitlines() if line not in lines]
        assert len(lines) == 1, self.err
        assert all(": " in line and not line.startswith((" ", "Traceback")) for line in others), self.err
        return lines[0].removeprefix("systolith: ")


def run(*arguments: str | Path) -> Outcome:
    """``systolith`` with ``arguments``; a traceback would come out as the exception itself."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())
