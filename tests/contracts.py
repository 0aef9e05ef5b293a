"""A contract for import-linter: these modules import nothing but what is named."""

from __future__ import annotations

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class ImportsOnly(Contract):
    """Hold ``modules`` to the ``allowed`` modules, what is below them, and the standard library.

    A module that is added later is held to it without being listed, which "forbidden" cannot do.
    """

    modules = fields.ListField(subfield=fields.ModuleExpressionField())
    allowed = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Look at every import of every module that is meant."""
        strangers = [
            f"{importer} imports {imported}"
            for importer in sorted(self.importers(graph))
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not self.may_import(imported)
        ]
        return ContractCheck(kept=not strangers, metadata={"strangers": strangers})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print a line for each import that is not allowed."""
        for stranger in check.metadata["strangers"]:
            output.print_error(stranger)

    def importers(self, graph: ImportGraph) -> set[str]:
        """Return the names of the modules that the contract is about."""
        return {name for expression in self.modules for name in graph.find_matching_modules(str(expression))}  # type: ignore[attr-defined]

    def may_import(self, name: str) -> bool:
        """Say whether a module is of the standard library or allowed."""
        return name.partition(".")[0] in sys.stdlib_module_names or any(
            name == allowed or name.startswith(f"{allowed}.")
            for allowed in self.allowed  # type: ignore[attr-defined]
        )
