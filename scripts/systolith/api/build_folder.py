# SPDX-License-Identifier: Apache-2.0
"""The folder that ``compile`` writes and every other command reads.

===================  ================================================================================
file                 contents
===================  ================================================================================
``program.slp``      the program image (:mod:`systolith.spec.image`)
``network.npz``      the integer network, which is the reference for ``verify``
``samples.npz``      real inputs in the network's own form, one array (N, ...) per input
``engine.v``         the engine as Verilog, header comment with interface and memory map
``report.json``      the figures of the report
``report.txt``       the report for reading
===================  ================================================================================
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolith.compiler.array_file import ArrayFileError, read_arrays
from systolith.compiler.errors import InputFileError
from systolith.compiler.graph_file import load_graph, save_graph
from systolith.compiler.ir import Graph
from systolith.spec.image import Program, load_program, save_program

__all__ = ["BuildFolder", "fresh_folder"]


@dataclass(frozen=True)
class BuildFolder:
    """Paths and contents of a build folder. Reading raises ImageError or InputFileError naming the file."""

    path: Path

    @property
    def verilog_file(self) -> Path:
        """The engine's Verilog."""
        return self.path / "engine.v"

    @property
    def report_file(self) -> Path:
        """The figures as JSON."""
        return self.path / "report.json"

    def program(self) -> Program:
        """The compiled program."""
        if not self.path.is_dir():
            raise InputFileError(f"{self.path}: no such folder; `systolith compile` makes it")
        return load_program(self.path / "program.slp")

    def network(self) -> Graph:
        """The integer network that the program was compiled from."""
        return load_graph(self.path / "network.npz")

    def samples(self) -> dict[str, NDArray[Any]]:
        """Stored real inputs, one array (N, ...) per input; empty if none were given to ``compile``."""
        file = self.path / "samples.npz"
        try:
            return read_arrays(file)
        except ArrayFileError as error:
            raise InputFileError(f"{file}: not a file of samples ({error}); compile again") from error

    def report(self) -> dict[str, Any]:
        """The figures of the report."""
        try:
            data = json.loads(self.report_file.read_text())
        except (OSError, ValueError) as error:
            raise InputFileError(f"{self.report_file}: not a report ({error}); compile again") from error
        if not isinstance(data, dict):
            raise InputFileError(f"{self.report_file}: not a report ({type(data).__name__}); compile again")
        return data

    def write(
        self,
        *,
        program: Program,
        network: Graph,
        samples: Mapping[str, NDArray[Any]],
        verilog: str,
        report: Mapping[str, Any],
        report_text: str,
    ) -> None:
        """Write all files into the (existing) folder."""
        save_program(program, self.path / "program.slp")
        save_graph(network, self.path / "network.npz")
        with (self.path / "samples.npz").open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **samples)
        self.verilog_file.write_text(verilog)
        self.report_file.write_text(json.dumps(report, indent=2) + "\n")
        (self.path / "report.txt").write_text(report_text)


def _check_replaceable(path: Path) -> None:
    """Only nothing, an empty folder, or an earlier build may be replaced: never a user's own files."""
    if not path.exists():
        return
    if not path.is_dir():
        raise InputFileError(f"{path}: is a file; give another folder with -o")
    if any(path.iterdir()) and not (path / "program.slp").is_file():
        raise InputFileError(f"{path}: holds other files than a build; give an empty or new folder with -o")


@contextmanager
def fresh_folder(path: Path) -> Iterator[BuildFolder]:
    """A folder to fill that appears at ``path`` complete, or, after an error, not at all.

    Raises:
        InputFileError: ``path`` is a file, or a folder that holds something else than an earlier build.
    """
    _check_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield BuildFolder(temporary)
        temporary.chmod(0o755)
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        if temporary.exists():
            shutil.rmtree(temporary)
