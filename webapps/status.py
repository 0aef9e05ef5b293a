"""Put the rows and what the supervisor says of them together, for the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from webapps.runtime.logs import escape
from webapps.runtime.spec import State

from . import control
from .models import WebApp

WORDS = {
    State.ASLEEP: "Asleep",
    State.STARTING: "Starting",
    State.RUNNING: "Running",
    State.DRAINING: "Stopping",
    State.FAILED: "Failed",
    State.DISABLED: "Disabled",
    State.FILES: "Files only",
}
UNKNOWN = "unknown"


@dataclass(frozen=True)
class AppStatus:
    """What a page shows of one application. ``state`` is a State's value or ``unknown``."""

    state: str
    reason: str = ""
    detail: str = ""
    remedy: str = ""
    note: str = ""
    generation: int = 0
    failed_generation: int = 0
    since: datetime | None = None
    pids: tuple[int, ...] = ()

    @property
    def words(self) -> str:
        """The state in words."""
        return "Not known" if self.state == UNKNOWN else WORDS[State(self.state)]

    @property
    def troubled(self) -> bool:
        """Whether it serves, but not all that was last saved."""
        return self.state == State.RUNNING and bool(self.reason)

    @property
    def behind(self) -> bool:
        """Whether an older generation serves, because the last one did not start."""
        return self.troubled and bool(self.failed_generation)

    @property
    def unsettled(self) -> bool:
        """Whether the state is about to change by itself."""
        return self.state in (State.STARTING, State.DRAINING)


@dataclass(frozen=True)
class Overview:
    """One answer of the supervisor; ``reachable`` is false when there was none.

    Then ``served`` says whether Stoa runs all the same: its supervisor is being started again, or held up.
    """

    reachable: bool
    served: bool = False
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    supervisor: Mapping[str, Any] = field(default_factory=dict)
    front_error: str = ""
    refused: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    walls: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def ask(cls) -> Overview:
        """Ask the supervisor once."""
        answer = control.status()
        if answer is None:
            return cls(reachable=False, served=control.is_served())
        front = answer.get("front") or {}
        return cls(
            reachable=True,
            facts=answer.get("webapps") or {},
            supervisor=answer.get("supervisor") or {},
            front_error=front.get("error", ""),
            refused=front.get("refused") or {},
            warnings=tuple(answer.get("warnings") or ()),
            walls=tuple(answer.get("walls") or ()),
        )

    def of(self, webapp: WebApp) -> AppStatus:
        """Return the status of one row."""
        fact = self.facts.get(str(webapp.pk), {})
        if not webapp.enabled and not fact.get("pids"):
            return AppStatus(State.DISABLED.value)
        if not self.reachable:
            return AppStatus(UNKNOWN, "Stoa’s supervisor does not answer.")
        if refused := self.refused.get(str(webapp.pk)):
            return AppStatus(State.FAILED.value, f"The front refuses its route: {refused}")
        if not fact:
            return AppStatus(State.STARTING.value, "Saved; the supervisor takes it up in a moment.")
        if webapp.protocol == "files" and fact.get("state") != State.FAILED:
            return AppStatus(State.FILES.value, escape(str(fact.get("reason", ""))))
        return _from_fact(fact)


def _from_fact(fact: Mapping[str, Any]) -> AppStatus:
    state = str(fact.get("state", UNKNOWN))
    return AppStatus(
        state=state if state in [known.value for known in State] else UNKNOWN,
        # Hosted code's words: nothing in them steers a terminal, or turns a page's text round.
        reason=escape(str(fact.get("reason") or "")),
        detail=escape(str(fact.get("detail") or "")),
        remedy=escape(str(fact.get("remedy") or "")),
        note=escape(str(fact.get("note") or "")),
        generation=int(fact.get("generation") or 0),
        failed_generation=int(fact.get("failed_generation") or 0),
        since=moment(fact.get("since")),
        pids=tuple(fact.get("pids") or ()),
    )


def moment(text: object) -> datetime | None:
    """Read a time in ISO 8601, None where there is none."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
