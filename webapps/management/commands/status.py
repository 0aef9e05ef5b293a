"""Say what runs: `manage.py status [--json]`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from webapps.choices import Kind
from webapps.cpf.report import printable, table, width_of
from webapps.models import WebApp
from webapps.runtime.spec import State
from webapps.status import UNKNOWN, AppStatus, Overview

#: The exit status when nobody answers at the control socket.
STOPPED = 3
NOT_RUNNING = "Stoa is not running; it starts with Stoa."
START = "Stoa is not running. Start it with script/serve."
SILENT = (
    "Stoa runs, but its supervisor does not answer: it is being started again, or held up. What is served goes on. "
    "Ask again in a moment; messages.log, below log/ in Stoa's home, says more."
)


class Command(BaseCommand):
    """Print the supervisor and every application; exit status 3 when there is no supervisor."""

    help = "Say what runs. Exit status 3 when Stoa is not running."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the form of the answer."""
        parser.add_argument("--json", action="store_true", help="for programs; times are ISO 8601 in UTC")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask once, print, and end with status 3 where nobody answered."""
        overview = Overview.ask()
        webapps = [described(webapp, overview) for webapp in WebApp.objects.select_related("namespace")]
        if options["json"]:
            answer = {"supervisor": supervisor(overview), "webapps": webapps}
            self.stdout.write(json.dumps(answer, indent=2))
        else:
            self._print(overview, webapps)
        if not overview.reachable:
            sys.exit(STOPPED)

    def _print(self, overview: Overview, webapps: list[dict[str, Any]]) -> None:
        for line in _headlines(overview):
            self.stdout.write(printable(line))
        if not webapps:
            self.stdout.write("There are no web applications.")
            return
        heads = ("Application", "State", "Namespace", "Protocol", "Reason")
        rows = [_cells(webapp) for webapp in webapps]
        self.stdout.write("\n".join(table(heads, rows, width_of(self.stdout), self._paint)))

    def _paint(self, text: str, state: str) -> str:
        if state == State.FAILED.value:
            return self.style.ERROR(text)
        return self.style.SUCCESS(text) if state == State.RUNNING.value else text


def _headlines(overview: Overview) -> Iterator[str]:
    if not overview.reachable:
        yield SILENT if overview.served else START
        return
    facts = supervisor(overview)
    yield f"The supervisor is {facts['state']}: process {facts['pid']}, since {facts['since']}."
    if overview.front_error:
        yield f"The front refuses its configuration: {overview.front_error}"
    yield from overview.warnings


def _cells(webapp: dict[str, Any]) -> tuple[str, ...]:
    label = f"{webapp['host']}{webapp['name']}"
    cells = (label, webapp["state"], webapp["namespace"], webapp["protocol"], webapp["reason"])
    return tuple(map(printable, cells))


def supervisor(overview: Overview) -> dict[str, Any]:
    """Return the supervisor's state, process id and start, or that it is stopped."""
    silent = {"state": "silent" if overview.served else "stopped"}
    facts = overview.supervisor if overview.reachable else silent
    return {"state": facts.get("state", "running"), "pid": facts.get("pid"), "since": facts.get("since")}


def described(webapp: WebApp, overview: Overview) -> dict[str, Any]:
    """Return what is to be said of one application, as values that JSON knows."""
    status = overview.of(webapp)
    state, reason = _state(webapp, status, overview)
    return {
        "name": webapp.name,
        "host": webapp.host,
        "namespace": webapp.namespace.name,
        "protocol": webapp.protocol,
        "enabled": webapp.enabled,
        "state": state,
        "reason": reason,
        "generation": status.generation,
        "pids": list(status.pids),
        "since": _moment(status.since),
    }


def _state(webapp: WebApp, status: AppStatus, overview: Overview) -> tuple[str, str]:
    """Return state and reason; "asleep" without a supervisor: there is no process, and no failure either."""
    if overview.reachable or overview.served or status.state != UNKNOWN:
        return status.state, status.reason
    state = State.FILES if webapp.kind == Kind.FILES else State.ASLEEP
    return state.value, NOT_RUNNING


def _moment(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
