"""Merge CPF files: `manage.py merge FILE… [--dry-run]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from webapps.cpf.merge import merge_files
from webapps.cpf.report import CHANGES, Report, Result, render, width_of


class Command(BaseCommand):
    """Merge the [Actions] of CPF files and report on each line; exit status 1 if any is an error."""

    help = "Merge the [Actions] of CPF files; a second time changes nothing."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the files, merged in their order."""
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a CPF merge file")
        parser.add_argument("--dry-run", action="store_true", help="print the same report and change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Merge, print, and end with status 1 where something is an error."""
        try:
            reports = merge_files(options["files"], dry_run=options["dry_run"])
        except OperationalError as error:
            raise CommandError(f"The database does not answer ({error}); nothing was changed.") from error
        for report in reports:
            self._print(report)
        if options["dry_run"]:
            self.stdout.write("Dry run: nothing was changed.")
        if any(report.failed for report in reports):
            raise CommandError("There are errors; the other lines are not affected by them.")

    def _print(self, report: Report) -> None:
        self.stdout.write("\n".join(render(report, width_of(self.stdout), self._paint)) + "\n\n")

    def _paint(self, text: str, result: str) -> str:
        if result == Result.ERROR:
            return self.style.ERROR(text)
        return self.style.SUCCESS(text) if result in CHANGES else text
