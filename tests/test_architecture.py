# SPDX-License-Identifier: Apache-2.0
"""The import rules of pyproject.toml hold, and each of them can fail."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import Contract
from importlinter.api import read_configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.protected import ProtectedContract

from tools.import_rules import OnlyContract

ROOT = Path(__file__).parents[1]
SOURCE_ROOTS = ["hdl", "compiler", "testbench", "boards", "scripts"]
CONFIGURATION: dict[str, Any] = read_configuration(str(ROOT / "pyproject.toml"))
SESSION: dict[str, Any] = CONFIGURATION["session_options"]
CONTRACTS: dict[str, dict[str, Any]] = {contract["id"]: contract for contract in CONFIGURATION["contracts_options"]}
TYPES: dict[str, type[Contract]] = {
    "only": OnlyContract,
    "forbidden": ForbiddenContract,
    "protected": ProtectedContract,
}

# One import that each contract must refuse: (contract, importer, imported).
VIOLATIONS = [
    ("spec", "systolith.spec.arch", "numpy"),
    ("spec", "systolith.spec.arch", "systolith.hdl"),
    ("hdl", "systolith.hdl", "numpy"),
    ("hdl", "systolith.hdl", "systolith.compiler.ir"),
    ("compiler", "systolith.compiler.ir", "amaranth"),
    ("compiler", "systolith.compiler.passes", "systolith.hdl"),
    ("compiler", "systolith.compiler.frontend", "cocotb"),
    ("runtime", "systolith.compiler.runtime", "systolith.compiler.ir"),
    ("interp", "systolith.compiler.interp_int", "systolith.compiler.lower"),
    ("interp", "systolith.compiler.fixed_np", "systolith.compiler.passes"),
    ("isa-model", "systolith.testbench.isa_model", "systolith.compiler.runtime"),
    ("isa-model", "systolith.testbench.isa_model", "onnx"),
    ("testbench", "systolith.testbench.monitor", "systolith.hdl"),
    ("testbench", "systolith.testbench.monitor", "systolith.compiler.passes"),
    ("testbench", "systolith.testbench.bench_link", "systolith.boards"),
    ("runner", "systolith.testbench.runner", "systolith.compiler.pipeline"),
    ("boards", "systolith.boards", "systolith.testbench.monitor"),
    ("boards", "systolith.boards", "systolith.compiler.pipeline"),
    ("host", "systolith.boards.host", "systolith.hdl"),
    ("api", "systolith.testbench.runner", "systolith.api"),
    ("cli", "systolith.api", "systolith.cli"),
]

# Imports that a contract must let pass, where that is not obvious.
PERMITTED = [
    ("spec", "systolith.spec.arch", "json"),
    ("testbench", "systolith.testbench.bench_link", "systolith.boards.host"),
    ("testbench", "systolith.testbench.runner", "systolith.hdl"),
    ("host", "systolith.boards.host", "serial"),
    ("api", "systolith.cli", "systolith.api"),
]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*SESSION["root_packages"], include_external_packages=True, cache_dir=None)


def _is_kept(contract_id: str, graph: grimp.ImportGraph) -> bool:
    options = CONTRACTS[contract_id]
    contract = TYPES[options["type"]](options["name"], SESSION, options)
    return contract.check(deepcopy(graph), verbose=False).kept


def _with_import(graph: grimp.ImportGraph, importer: str, imported: str) -> grimp.ImportGraph:
    changed = deepcopy(graph)
    if imported not in changed.modules:
        changed.add_module(imported, is_squashed=True)
    changed.add_import(importer=importer, imported=imported, line_number=1, line_contents=f"import {imported}")
    return changed


@pytest.mark.parametrize("contract_id", CONTRACTS)
def test_contract_is_kept(contract_id: str, graph: grimp.ImportGraph) -> None:
    assert _is_kept(contract_id, graph), f"run lint-imports --contract {contract_id} to see the imports at fault"


@pytest.mark.parametrize(("contract_id", "importer", "imported"), VIOLATIONS)
def test_contract_refuses(contract_id: str, importer: str, imported: str, graph: grimp.ImportGraph) -> None:
    assert importer in graph.modules
    assert not _is_kept(contract_id, _with_import(graph, importer, imported))


@pytest.mark.parametrize(("contract_id", "importer", "imported"), PERMITTED)
def test_contract_permits(contract_id: str, importer: str, imported: str, graph: grimp.ImportGraph) -> None:
    assert importer in graph.modules
    assert _is_kept(contract_id, _with_import(graph, importer, imported))


def test_every_contract_is_seen_to_fail() -> None:
    assert {contract_id for contract_id, _, _ in VIOLATIONS} == set(CONTRACTS)


def test_every_portion_is_under_contract() -> None:
    portions = {path.parent.name for root in SOURCE_ROOTS for path in (ROOT / root).glob("systolith/*/__init__.py")}
    assert {f"systolith.{portion}" for portion in portions} == set(SESSION["root_packages"])


def test_namespace_has_no_init_file() -> None:
    assert not [root for root in SOURCE_ROOTS if (ROOT / root / "systolith" / "__init__.py").exists()]


def test_source_roots_hold_no_loose_modules() -> None:
    assert not [path for root in SOURCE_ROOTS for path in (ROOT / root).glob("*.py")]


def _names_that_hide_a_module(init: Path) -> list[str]:
    """What a package's __init__ imports under the name of one of the package's own modules."""
    modules = {path.stem for path in init.parent.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    statements = [node for node in ast.walk(ast.parse(init.read_text())) if isinstance(node, ast.ImportFrom)]
    bound = [(alias.asname or alias.name, node.module) for node in statements for alias in node.names]
    return [name for name, source in bound if name in modules and source is not None]


def test_no_function_hides_the_module_it_comes_from() -> None:
    inits = [path for root in SOURCE_ROOTS for path in (ROOT / root).rglob("__init__.py")]
    assert {init: names for init in inits if (names := _names_that_hide_a_module(init))} == {}


def test_a_hidden_module_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "emit.py").touch()
    init = tmp_path / "__init__.py"
    init.write_text("from .emit import emit\n")
    assert _names_that_hide_a_module(init) == ["emit"]
    init.write_text("from . import emit\nfrom .emit import emit_verilog\n")
    assert _names_that_hide_a_module(init) == []


def test_linter_finds_a_planted_import(tmp_path: Path) -> None:
    for root in SOURCE_ROOTS:
        shutil.copytree(ROOT / root, tmp_path / root, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    planted = tmp_path / "hdl/systolith/spec/planted.py"
    planted.write_text("def slow() -> None:\n    import numpy\n")
    result = _lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout
    assert "systolith.spec.planted:2 imports numpy" in result.stdout
    planted.unlink()
    result = _lint_imports(tmp_path)
    assert result.returncode == 0, result.stdout


def _lint_imports(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on a copy of the sources, found before the installed ones."""
    paths = os.pathsep.join(str(checkout / root) for root in SOURCE_ROOTS)
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-logo", "--no-cache"],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": paths, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
