"""Make the database when it is absent or older than the code."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import pkgutil
from collections.abc import Iterator

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection

from webapps import identity


class Unusable(Exception):
    """The database or STOA_HOME cannot be used; the message names the cause and the remedy."""


def ensure(*, reading: bool = False) -> None:
    """Apply the migrations that are missing; two processes may ask at once. Raises Unusable.

    Where there is no database one is made, but not for who is only ``reading``, nor where this home has had one.

    What is applied is compared with the files by name, because building Django's graph of migrations
    would cost every command a tenth of a second.
    """
    if connection.vendor == "unknown":
        raise Unusable("DATABASE_URL is not understood; write postgresql://user:password@host/name, or unset it.")
    _check_there(reading=reading)
    try:
        settings.STOA_HOME.mkdir(mode=0o711, parents=True, exist_ok=True)
        identity.make()
        # Even the first look is taken alone: two that turn a new SQLite file to WAL at once do not wait for
        # each other, one of them is told that it is locked (https://www.sqlite.org/wal.html, section 9).
        with _lock():
            if _missing():
                call_command("migrate", interactive=False, verbosity=0)
    except OSError as error:
        raise Unusable(
            f"cannot write below {settings.STOA_HOME} ({error.strerror}); "
            "make it writable, or set STOA_HOME to a directory that is."
        ) from error
    except DatabaseError as error:
        raise Unusable(f"the database cannot be used ({error}); look at DATABASE_URL and STOA_HOME.") from error


def trouble(error: OperationalError) -> tuple[str, str]:
    """Say what is wrong with the database while Stoa runs, and what to do; nothing of what it said is repeated."""
    if "unable to open" in str(error):
        return "The database is missing, or cannot be opened", "Put it back: what is served goes on meanwhile."
    if "no such table" in str(error):
        return "The database was emptied", "Put it back: what is served goes on meanwhile."
    if "full" in str(error):
        return "The database cannot be written: the disk is full", "Make room, then try again."
    if "locked" in str(error):
        return "The database is busy", "Somebody else writes for a long time. Try again in a moment."
    if "readonly" in str(error) or "read-only" in str(error):
        return "The database cannot be written: it is read-only", "Make it writable for the account that runs Stoa."
    return "The database does not answer", "Look whether it runs, then try again."


def _check_there(*, reading: bool) -> None:
    """Raise Unusable where there is no database and none may be made."""
    if words := identity.problem(settings.STOA_HOME):
        raise Unusable(words)
    path = identity.file()
    if reading and path and not path.exists():
        home = "STOA_HOME names this home" if "STOA_HOME" in os.environ else "STOA_HOME is not set"
        raise Unusable(
            f"there is no database {path} yet; script/serve makes it. "
            f"{home}: where Stoa runs with another, give its directory as STOA_HOME."
        )


def _missing() -> set[tuple[str, str]]:
    return _written() - _applied()


def _written() -> set[tuple[str, str]]:
    """Name the migrations of the installed applications, from their files."""
    found = set()
    for config in apps.get_app_configs():
        with contextlib.suppress(ModuleNotFoundError):
            package = importlib.import_module(f"{config.name}.migrations")
            names = (module.name for module in pkgutil.iter_modules(package.__path__))
            found |= {(config.label, name) for name in names if name[0] not in "_~"}
    return found


def _applied() -> set[tuple[str, str]]:
    if "django_migrations" not in connection.introspection.table_names():
        return set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations")
        return set(cursor.fetchall())


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    """Hold the lock that lets one process at a time migrate."""
    with (settings.STOA_HOME / "migrate.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
