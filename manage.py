#!/usr/bin/env python
"""Run Stoa's commands; each makes the database if it is absent, but those that only read."""

from __future__ import annotations

import os
import select
import signal
import sys

from webapps.runtime import seclusion

#: Commands that do without the database, or make it themselves.
WITHOUT_DATABASE = frozenset(
    {
        "migrate",
        "makemigrations",
        "test",
        "check",
        "help",
        "version",
        "startapp",
        "diffsettings",
        "serve",
        "dependencies",
    }
)
#: Commands that make nothing where there is no database.
READING = frozenset({"status", "locks"})
#: What goes on without its database until that is back.
PATIENT = "supervisor"


def main() -> None:
    """Prepare the database where the command needs it, and run the command."""
    seclusion.seclude()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "help")
    if command == "serve":
        _take_home(sys.argv[2:])
    if command == "migrate":
        _make_file()
    if command not in WITHOUT_DATABASE and not {"--help", "-h", "--version"} & set(sys.argv[1:]):
        _prepare(command)
    _run(sys.argv)


def _run(arguments: list[str]) -> None:
    """Run the command; one whose output nobody reads any more (`| head`) ends as a shell expects."""
    try:
        try:
            _execute(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _is_unread(sys.stdout.fileno()):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends.
        sys.exit(128 + signal.SIGPIPE)


def _is_unread(fd: int) -> bool:
    """Say whether a pipe has no reader (poll(2), POLLERR)."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(event & select.POLLERR for _fd, event in poll.poll(0))


def _execute(arguments: list[str]) -> None:
    """Run the command; a database that fails meanwhile is said in a line."""
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(arguments)
    except OperationalError as error:
        from portal import database

        title, remedy = database.trouble(error)
        sys.exit(f"Stoa: {title} ({error}). {remedy}")


def _take_home(arguments: list[str]) -> None:
    """Put ``serve --home DIR`` where the settings look for it."""
    for index, argument in enumerate(arguments):
        if argument.startswith("--home="):
            os.environ["STOA_HOME"] = argument.partition("=")[2]
        elif argument == "--home" and index + 1 < len(arguments):
            os.environ["STOA_HOME"] = arguments[index + 1]


def _make_file() -> None:
    """Make the file that is migrated, unless this home has had another one."""
    import django

    django.setup()
    from django.conf import settings

    from webapps import identity

    if words := identity.problem(settings.STOA_HOME):
        sys.exit(f"Stoa: {words}")
    identity.make()


def _prepare(command: str) -> None:
    import django

    django.setup()
    from portal import database  # It knows the models.

    try:
        database.ensure(reading=command in READING)
    except database.Unusable as error:
        if command != PATIENT:
            sys.exit(f"Stoa: {error}")


if __name__ == "__main__":
    main()
