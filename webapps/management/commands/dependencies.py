"""Say what Stoa runs on and how old it is: `manage.py dependencies [--json]`."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from webapps import dependencies
from webapps.cpf.report import printable, table, width_of
from webapps.runtime.serving import Serving


class Command(BaseCommand):
    """Print every part with its version and age, the oldest first; nothing is asked of a network."""

    help = "Say what Stoa runs on, in which version, and when that was released. The oldest comes first."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the form of the answer."""
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look, and print a line for each."""
        today = datetime.now(UTC).date()
        found = dependencies.found(settings.BASE_DIR / "requirements.dates", _nginx())
        cells = [
            (part.name, part.version, str(part.released or ""), part.age(today), printable(part.note)) for part in found
        ]
        heads = ("Dependency", "Version", "Released", "Age", "Note")
        if options["json"]:
            names = [head.lower() for head in heads]
            self.stdout.write(json.dumps([dict(zip(names, row, strict=True)) for row in cells], indent=2))
        else:
            self.stdout.write("\n".join(table(heads, cells, width_of(self.stdout))))


def _nginx() -> str:
    """Return the nginx that the running Stoa took, else the one that a start would take."""
    try:
        return Serving.read(settings.STOA_HOME / "run").nginx
    except (OSError, ValueError, KeyError, TypeError):
        return os.environ.get("STOA_NGINX", "")
