# SPDX-License-Identifier: Apache-2.0
"""The allow-list contract on a graph of a few modules."""

from __future__ import annotations

from typing import Any

import grimp
import pytest
from importlinter import ContractCheck

from tools.import_rules import OnlyContract


def _graph(*imports: tuple[str, str]) -> grimp.ImportGraph:
    graph = grimp.ImportGraph()
    for module in ["house", "house.attic", "house.cellar", "household", "street"]:
        graph.add_module(module)
    for importer, imported in imports:
        graph.add_module(imported)
        graph.add_import(importer=importer, imported=imported, line_number=3, line_contents=f"import {imported}")
    return graph


def _contract(**options: Any) -> OnlyContract:
    return OnlyContract("test", {}, {"modules": ["house"], "allowed": ["street"]} | options)


def _check(graph: grimp.ImportGraph, **options: Any) -> ContractCheck:
    return _contract(**options).check(graph, verbose=False)


@pytest.mark.parametrize("imported", ["json", "os.path", "street", "street.lamp", "house.attic"])
def test_permits(imported: str) -> None:
    assert _check(_graph(("house.cellar", imported))).kept


@pytest.mark.parametrize("imported", ["numpy", "household", "streetcar", "jsonschema"])
def test_refuses_and_names_the_import(imported: str) -> None:
    check = _check(_graph(("house.cellar", imported), ("house.attic", "json")))
    assert not check.kept
    assert check.metadata["faults"] == [("house.cellar", imported, 3)]


def test_does_not_bind_other_modules() -> None:
    assert _check(_graph(("household", "numpy"))).kept


def test_exception_is_neither_bound_nor_allowed() -> None:
    assert _check(_graph(("house.attic", "numpy")), except_modules=["house.attic"]).kept
    assert not _check(_graph(("house.cellar", "house.attic")), except_modules=["house.attic"]).kept


@pytest.mark.parametrize("option", ["modules", "except_modules"])
def test_refuses_modules_that_do_not_exist(option: str) -> None:
    with pytest.raises(ValueError, match=r"contract 'test': module 'house\.roof' does not exist"):
        _check(_graph(), **{option: ["house.roof"]})


def test_report_names_importer_line_import_and_what_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    contract = _contract()
    contract.render_broken_contract(contract.check(_graph(("house.attic", "numpy")), verbose=False))
    printed = capsys.readouterr().out
    assert "house.attic:3 imports numpy" in printed
    assert "Allowed: the standard library, street" in printed
