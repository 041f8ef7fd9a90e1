# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from systolith.cli.exit_codes import ExitCode


def test_numbers_are_a_promise() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "USAGE": 2,
        "INPUT": 3,
        "UNSUPPORTED": 4,
        "FIT": 5,
        "TOOL": 6,
        "MISMATCH": 7,
        "LINK": 8,
    }


def test_every_code_has_a_meaning_of_its_own() -> None:
    assert len({code.meaning for code in ExitCode}) == len(ExitCode)
    assert all(code.meaning for code in ExitCode)
