"""Act on one application: `manage.py webapp reload|install NAME`."""

from __future__ import annotations

import difflib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapps import control, validators
from webapps.choices import Kind
from webapps.cpf.report import printable
from webapps.models import WebApp
from webapps.runtime import hostedfiles
from webapps.runtime.environments import Environment, Installation

from .status import START, STOPPED

POLL = 0.1
#: Seconds that a start may take beyond its own timeout: others may start before it.
PATIENCE = 30
#: Seconds within which an installation that was accepted has to begin.
BEGIN = 30
INTERRUPTED = 130
#: Characters of the installer's log that are read, and shown, at a time.
PIECE = 1 << 20


class Command(BaseCommand):
    """Reload an application, or install what it requires, and wait for the end."""

    help = "Reload an application, or install its requirements.txt into its namespace's environment."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the verb and the application."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="reload|install")
        helps = {
            "reload": "start a new generation and wait until it serves, or fails",
            "install": "install requirements.txt of the application's directory, showing each line",
        }
        for verb, text in helps.items():
            command = verbs.add_parser(verb, help=text, description=text.capitalize() + ".")
            command.add_argument("name", metavar="NAME", help="the application: /name, or host/name")
        verbs.choices["reload"].add_argument(
            "--timeout", type=float, help=f"seconds to wait (default: its start timeout and {PATIENCE} more)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Find the application and do what the verb says."""
        webapp = find(options["name"])
        try:
            if options["verb"] == "install":
                self._install(webapp)
            else:
                self._reload(webapp, options["timeout"])
        except KeyboardInterrupt:
            self.stderr.write("Stopped waiting; what was begun goes on.")
            sys.exit(INTERRUPTED)

    # Reload

    def _reload(self, webapp: WebApp, timeout: float | None) -> None:
        if not webapp.enabled:
            raise CommandError(f"{webapp} is disabled, so nothing runs; enable it instead.")
        # Every save is a new revision; its other fields may have changed.
        webapp.save(update_fields=["modified"], by="manage.py webapp")
        if control.status() is None:
            raise CommandError(f"{START} {webapp} is saved, and will be live then.", returncode=STOPPED)
        if webapp.kind == Kind.FILES:
            self.stdout.write(f"{webapp} is files only: there is no process to replace.")
            return
        seconds = webapp.start_timeout + PATIENCE if timeout is None else timeout
        for fact in _facts(webapp, seconds):
            if self._has_ended(webapp, fact):
                return
        raise CommandError(
            f"{webapp}: generation {webapp.revision} neither runs nor failed within {seconds:g} seconds; "
            "look at manage.py status and WSGI.log."
        )

    def _has_ended(self, webapp: WebApp, fact: dict[str, Any]) -> bool:
        """Say whether the new generation serves. Raises CommandError where it failed."""
        state, reason = fact.get("state"), str(fact.get("reason") or "")
        if state == "running" and _failed_generation(reason) >= webapp.revision:
            old = f"Generation {fact.get('generation')} goes on serving."
            raise CommandError(_told(f"{webapp}: {reason}", fact, old))
        if int(fact.get("generation") or 0) < webapp.revision:
            return False
        if state == "failed":
            raise CommandError(_told(f"{webapp}: generation {webapp.revision} did not start: {reason}", fact))
        if state == "running":
            self._succeed(f"{webapp}: generation {fact['generation']} runs.")
        elif state == "asleep":
            self._succeed(f"{webapp} is asleep; generation {fact['generation']} starts with the next request.")
        return state in ("running", "asleep")

    def _succeed(self, text: str) -> None:
        self.stdout.write(self.style.SUCCESS(text))

    # Install

    def _install(self, webapp: WebApp) -> None:
        requirements = requirements_of(webapp)
        environment = Environment(settings.STOA_HOME / "namespaces" / webapp.namespace.name)
        before = _stamp(environment)
        if control.status() is None:
            raise CommandError(f"{START} It is what installs.", returncode=STOPPED)
        problem = control.install(
            pk=webapp.pk,
            label=webapp.label,
            namespace=webapp.namespace.name,
            requirements=str(requirements),
            labels=webapp.namespace.labels,
        )
        if problem:
            raise CommandError(printable(f"{webapp}: {problem}"))
        _wait_for_the_beginning(environment, before)
        try:
            end = self._follow(environment)
        except OSError as error:
            raise CommandError(f"{webapp}: the installer's log cannot be read: {printable(str(error))}") from None
        if end.state != "done":
            raise CommandError(f"{webapp}: {printable(end.message)}")
        self._succeed(f"{webapp}: {printable(end.message)}")

    def _follow(self, environment: Environment) -> Installation:
        """Print the installer's lines as they come; return how it ended."""
        fd = hostedfiles.opened(environment.notes / "log", environment.directory)
        with os.fdopen(fd, errors="replace", newline="\n") as log:
            rest = ""
            while True:
                installation = environment.installation()
                *lines, rest = (rest[-PIECE:] + log.read(PIECE)).split("\n")
                for line in lines:
                    self.stdout.write(printable(line))
                self.stdout.flush()
                if installation and installation.state != "running":
                    return installation
                time.sleep(POLL)


def find(name: str) -> WebApp:
    """Return the application of a name, with its host in front or without. Raises CommandError."""
    wanted = validators.normal_name(name)
    webapps = list(WebApp.objects.select_related("namespace"))
    exact = [webapp for webapp in webapps if webapp.label == wanted]
    named = exact or [webapp for webapp in webapps if webapp.name == wanted]
    if len(named) == 1:
        return named[0]
    if named:
        labels = ", ".join(webapp.label for webapp in named)
        raise CommandError(f"{printable(wanted)} is on several hosts: {labels}. Write the host in front.")
    raise CommandError(f"There is no web application {printable(wanted)}.{_near(wanted, webapps)}")


def _near(wanted: str, webapps: list[WebApp]) -> str:
    """Name the applications that may have been meant."""
    labels = {webapp.label.lower(): webapp.label for webapp in webapps}
    near = difflib.get_close_matches(wanted.lower(), labels, n=5, cutoff=0.5)
    if near:
        return f" Near it: {', '.join(labels[label] for label in near)}."
    if webapps:
        return " See manage.py status for those that there are."
    return " There are none at all yet."


def requirements_of(webapp: WebApp) -> Path:
    """Return the application's requirements.txt. Raises CommandError."""
    if webapp.kind == Kind.FILES:
        raise CommandError(f"{webapp} is files only: it runs no Python, so there is nothing to install.")
    if webapp.namespace.interpreter:
        raise CommandError(
            f"{webapp.namespace} runs {webapp.namespace.interpreter}, which an administrator looks after; "
            "install there with its own pip."
        )
    path = Path(webapp.directory) / "requirements.txt"
    if not os.path.lexists(path):
        raise CommandError(f"{webapp}: there is no requirements.txt in {webapp.directory}. Put one there.")
    if problem := hostedfiles.problem(path, webapp.directory):
        raise CommandError(f"{webapp}: {printable(problem)}.")
    return path


def _facts(webapp: WebApp, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield what the supervisor, which may be restarted meanwhile, says of it until the time is up."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = control.status() or {}
        yield answer.get("webapps", {}).get(str(webapp.pk), {})
        time.sleep(POLL)


def _failed_generation(reason: str) -> int:
    found = re.match(r"generation (\d+) did not start", reason)
    return int(found[1]) if found else 0


def _told(text: str, fact: dict[str, Any], more: str = "") -> str:
    """Put the traceback below the reason, and what goes on below that."""
    detail = [f"  {printable(line)}" for line in str(fact.get("detail") or "").splitlines()]
    return "\n".join([printable(text), *detail, *([more] if more else [])])


def _stamp(environment: Environment) -> tuple[int, int] | None:
    """Return what changes when the note of an installation is written anew."""
    try:
        found = (environment.notes / "json").stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _wait_for_the_beginning(environment: Environment, before: tuple[int, int] | None) -> None:
    end = time.monotonic() + BEGIN
    while _stamp(environment) == before:
        if time.monotonic() > end:
            raise CommandError(f"The installation did not begin within {BEGIN} seconds; look at messages.log.")
        time.sleep(POLL)
