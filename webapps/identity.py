"""Which database is ours: a number that is made once and kept in a row and in the home.

A database that is missing, empty or another one is trouble, not a wish: whoever reads goes on with what is known.
Whoever means it restarts Stoa (another database), or takes the home's file away first (an empty one).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.db import OperationalError, ProgrammingError, close_old_connections, connection
from django.db.backends.signals import connection_created

from .changes import Change
from .runtime.rows import NotOurs

FILE = "database_identity"
NEXT = "Put it back, and Stoa goes on by itself; to begin with an empty one, stop Stoa, remove {file}, start it again"


class Identity:
    """What a process knows of its database since it began; ``home`` is Stoa's."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.known = known(home)

    def counters(self) -> tuple[int, int]:
        """Return the counters of changes (``Change.counters``). Raises NotOurs where another database says them."""
        let_go_of_replaced()
        close_old_connections()
        try:
            found = Change.every()
        except (OperationalError, ProgrammingError) as error:
            if self.known and (words := _gone(error)):
                raise NotOurs(f"{words}: what runs goes on as it was. {_next(self.home)}") from error
            raise
        self._check(found.get(Change.IDENTITY, 0))
        return found.get(Change.APPLICATIONS, 0), found.get(Change.ACCESS, 0)

    def _check(self, found: int) -> None:
        if self.known and not found:
            raise NotOurs(f"the database was emptied: what runs goes on as it was. {_next(self.home)}")
        if self.known and found != self.known:
            raise NotOurs(
                "the database is another one than when Stoa was started: what runs goes on as it was. "
                "Put the right one back, and Stoa goes on by itself; to serve what this one says, restart Stoa"
            )


def known(home: Path) -> int:
    """Return the number of the database that this home has been served with, 0 where there was none."""
    try:
        return int((home / FILE).read_text())
    except (OSError, ValueError):
        return 0


def problem(home: Path) -> str:
    """Say why Stoa may not start: its database is missing or empty, though there was one; "" where all is well."""
    if not known(home):
        return ""
    try:
        words = "" if Change.every().get(Change.IDENTITY) else "the database was emptied"
    except (OperationalError, ProgrammingError) as error:
        words = _gone(error)
    return f"{words}, and this home has had one. {_next(home, 'start Stoa again')}" if words else ""


def settle(home: Path, say: Callable[[str], object]) -> None:
    """Number the database where it has no number, and note in the home that it is the one to serve with."""
    made = secrets.randbelow(1 << 62) + 1
    row, _ = Change.objects.get_or_create(pk=Change.IDENTITY, defaults={"counter": made})
    before = known(home)
    if row.counter == before:
        return
    if before:
        say("The database is another one than at the last start; its applications are served from now on.")
    draft = home / f".{FILE}"
    draft.write_text(f"{row.counter}\n")
    draft.replace(home / FILE)


def _next(home: Path, then: str = "") -> str:
    if then:
        return f"Put it back and {then}; to begin with an empty one, remove {home / FILE} first"
    return NEXT.format(file=home / FILE)


def _gone(error: Exception) -> str:
    """Say that the database is missing or empty, where that is what an error means."""
    path = file()
    if path and not path.exists():
        return f"the database {path} is missing"
    if isinstance(error, ProgrammingError) or "no such table" in str(error):
        return "the database was emptied"
    return ""


# The file of SQLite


def file() -> Path | None:
    """Return the file that the database is, None where it is none."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite":
        return None
    path = unquote(urlsplit(name).path) if name.startswith("file:/") else name
    return Path(path) if os.path.isabs(path) else None


def make() -> None:
    """Make the SQLite file, where there is none, and have it be its owner's alone. Raises OSError."""
    path = file()
    if path:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)


def connect() -> None:
    """Have each connection remember which file it has opened."""
    connection_created.connect(_remember)


def let_go_of_replaced(**_kwargs: Any) -> None:
    """Close a connection to a file that is not there any more, or is another one by now: nobody reads what it keeps."""
    opened = getattr(connection, "stoa_file", None)
    if opened and connection.connection is not None and not connection.in_atomic_block and _mark() != opened:
        connection.close()


def _remember(connection: Any, **_kwargs: Any) -> None:
    connection.stoa_file = _mark()


def _mark() -> tuple[int, int] | None:
    path = file()
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None
