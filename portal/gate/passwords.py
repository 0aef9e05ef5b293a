"""Check passwords in a process beside the gate: a hash takes a quarter of a second, and wrong ones must not stall it.

Run as ``python -m portal.gate.passwords``: reads a JSON object a line, ``{"user", "password", "address"}``, and
answers ``{"outcome", "seconds"}`` with outcome right, wrong, locked (for so many seconds) or busy.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from portal.beside import Beside, Room, of_module
from webapps.runtime import seclusion
from webapps.runtime.nowait import Outlet

#: How many checks may wait, in all and from one address; whoever comes then is asked to come again.
MOST = 12
MOST_OF_ONE = 4
#: How long (seconds) one check may take: less than the front waits for the gate.
PATIENCE = 12.0
LONGEST_NAME = 150
LONGEST_PASSWORD = 4096


@dataclass(frozen=True)
class Checked:
    """What became of a check; ``seconds`` is how long a lock lasts."""

    outcome: str
    seconds: int = 0


BUSY, WRONG = Checked("busy"), Checked("wrong")


class Passwords(Beside):
    """The gate's side: one check at a time, at most so many waiting, the process started again when it ends."""

    def __init__(self, argv: Sequence[str] = ()) -> None:
        super().__init__(argv or of_module("portal.gate.passwords"), Room(MOST, MOST_OF_ONE, PATIENCE))

    def check(self, user: str, password: str, address: str) -> Checked:
        """Return whether this is the user's password."""
        if not _possible(user, password):
            return WRONG
        with self.place(address) as admitted:
            answer = self.ask({"user": user, "password": password, "address": address}) if admitted else None
        return Checked(answer["outcome"], answer["seconds"]) if answer else BUSY


def _possible(user: str, password: str) -> bool:
    """Say whether an account could have this name: nothing is hashed or noted for what cannot."""
    return bool(user) and len(user) <= LONGEST_NAME and len(password) <= LONGEST_PASSWORD and user.isprintable()


def serve(lines: Any, answers: Any) -> None:
    """Answer each line in its turn."""
    for line in lines:
        asked = json.loads(line)
        checked = checked_by_django(asked["user"], asked["password"], asked["address"])
        answers.write(json.dumps({"outcome": checked.outcome, "seconds": checked.seconds}) + "\n")
        answers.flush()


def checked_by_django(user: str, password: str, address: str) -> Checked:
    """Ask Django's backends, django-axes among them, as the sign-in page does."""
    from axes.handlers.proxy import AxesProxyHandler
    from django.contrib.auth import authenticate
    from django.db import DatabaseError, close_old_connections
    from django.http import HttpRequest

    from portal import locks

    request: Any = HttpRequest()
    request.META["REMOTE_ADDR"] = address
    request.META["PATH_INFO"] = "/-/gate"
    try:
        close_old_connections()
        found = authenticate(request, username=user, password=password)
        if found is not None:
            AxesProxyHandler.reset_attempts(username=user, ip_address=address)
            return Checked("right")
        lock = locks.lock_of(user, address)
    except DatabaseError as error:
        print(f"a password could not be checked: {error}", file=sys.stderr, flush=True)
        return BUSY
    return Checked("locked", lock.seconds) if lock else WRONG


def main() -> None:
    """Set Django up and answer until nobody can ask any more."""
    seclusion.seclude()
    sys.stderr = Outlet(2)
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    os.nice(5)  # Whoever is signed in goes first.
    serve(sys.stdin, sys.stdout)


if __name__ == "__main__":
    main()
