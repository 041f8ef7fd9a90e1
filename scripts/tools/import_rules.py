# SPDX-License-Identifier: Apache-2.0
"""An import-linter contract that lists what a package may import instead of what it may not.

The contracts that import-linter ships forbid named modules, so a library nobody thought of passes. The
rules of this project are allow-lists ("spec: the standard library only"), and this contract states them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

__all__ = ["OnlyContract"]


class OnlyContract(Contract):
    """The named modules import the standard library, each other and what is listed; nothing else.

    Only direct imports are judged: what an allowed module imports is the business of its own contract.

    Options:
        modules: packages or modules bound by the contract, with all their descendants. Each must exist,
            since a contract that binds nothing cannot fail.
        except_modules: descendants of those that this contract leaves to another one. (Optional.)
        allowed: packages or modules, internal or third-party, that may be imported, with all descendants.
    """

    type_name = "only"

    modules = fields.ListField(subfield=fields.StringField())
    except_modules = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    allowed = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Return a check whose metadata lists each import at fault as (importer, imported, line)."""
        bound = self._bound(graph)
        faults = [fault for module in sorted(bound) for fault in self._faults(graph, module, bound)]
        return ContractCheck(kept=not faults, metadata={"faults": faults})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print one line an import at fault, and what would be accepted."""
        for importer, imported, line in check.metadata["faults"]:
            output.print_error(f"{importer}:{line} imports {imported}")
        output.print(f"Allowed: {', '.join(['the standard library', *_names(self.allowed)])}")
        output.new_line()

    def _bound(self, graph: ImportGraph) -> set[str]:
        for name in [*_names(self.modules), *_names(self.except_modules)]:
            if name not in graph.modules:
                raise ValueError(f"contract {self.name!r}: module {name!r} does not exist")
        return {
            module
            for module in graph.modules
            if _within(module, _names(self.modules)) and not _within(module, _names(self.except_modules))
        }

    def _faults(self, graph: ImportGraph, importer: str, bound: set[str]) -> list[tuple[str, str, int]]:
        return [
            (importer, imported, graph.get_import_details(importer=importer, imported=imported)[0]["line_number"])
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if imported not in bound and not self._may_import(imported)
        ]

    def _may_import(self, imported: str) -> bool:
        return imported.partition(".")[0] in sys.stdlib_module_names or _within(imported, _names(self.allowed))


def _names(field: Any) -> list[str]:
    """The parsed value of a list field, which import-linter types as the field itself."""
    return list(field)


def _within(module: str, packages: Iterable[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
