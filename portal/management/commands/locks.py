"""List and clear locks: `manage.py locks [--clear] [--user NAME] [--address ADDRESS]`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal.locks import Lock, clear, locks
from webapps.cpf.report import printable, table, width_of


class Command(BaseCommand):
    """List the pairs of account and address that are locked, or clear them."""

    help = "List the pairs of account and address that are locked after wrong passwords, or clear them."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take which locks are meant."""
        parser.add_argument("--clear", action="store_true", help="clear the locks that are meant")
        parser.add_argument("--user", metavar="NAME", help="only those of this account")
        parser.add_argument("--address", metavar="ADDRESS", help="only those of this address")

    def handle(self, *args: Any, **options: Any) -> None:
        """List, or clear and count."""
        user, address = options["user"], options["address"]
        if options["clear"]:
            count = clear(user, address)
            self.stdout.write(f"Cleared {count} lock{'' if count == 1 else 's'}.")
            return
        found = [lock for lock in locks() if user in (None, lock.username) and address in (None, lock.address)]
        if not found:
            self.stdout.write("Nothing is locked.")
            return
        heads = ("Account", "Wrong passwords", "Locked until", "Address")
        self.stdout.write("\n".join(table(heads, map(_cells, found), width_of(self.stdout))))


def _cells(lock: Lock) -> tuple[str, ...]:
    until = f"{lock.until:%Y-%m-%d %H:%M:%S} UTC"
    return printable(str(lock.username)), str(lock.failures), until, printable(str(lock.address))
