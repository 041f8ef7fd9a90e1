# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from systolith.cli.exit_codes import ExitCode
from tests.support.builds import SmallBuild
from tests.support.command import run


def test_float_network(small: SmallBuild) -> None:
    outcome = run("inspect", small.model)
    assert (outcome.code, outcome.err) == (0, "")
    assert "1x2x4x4" in outcome.out
    assert "Gemm" in outcome.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], ["Conv+Relu", "scale / zero"]),
        (["--graph"], ["Conv+Relu", "scale / zero"]),
        (["--tiles"], ["tiles of small on tiny", "MATRIX"]),
        (["--memory"], ["activation memory (elements)", "channels"]),
        (["--disassemble"], ["; conv0, tile 0", "END"]),
        (["--tiles", "--memory"], ["tiles of small", "activation memory"]),
    ],
)
def test_build_folder(small: SmallBuild, options: list[str], words: list[str]) -> None:
    outcome = run("inspect", small.folder, *options)
    assert (outcome.code, outcome.err) == (0, "")
    for word in words:
        assert word in outcome.out


def test_shapes_of_a_build_folder_are_fixed(small: SmallBuild) -> None:
    outcome = run("inspect", small.folder, "--fix-shape", "input=1x2x4x4")
    assert outcome.code == ExitCode.USAGE
    assert "the shapes of a build folder are fixed" in " ".join(outcome.err.replace("│", " ").split())


def test_tiles_of_a_model_file(small: SmallBuild) -> None:
    outcome = run("inspect", small.model, "--tiles")
    assert outcome.code == ExitCode.USAGE
    assert "compile the network first" in outcome.err
