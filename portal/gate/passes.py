"""What keeps a WebSocket open: who came in by what. It is asked again whenever the rows have changed.

A pass is ``user.how.sign_in.proof.roles`` in ASCII. The worker shows the passes of its open WebSockets to the
supervisor, who tells them to the gate over the control socket and has those closed that do not count any more. Nothing
of this is kept by the gate: it can be restarted, and there may be several.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from webapps.runtime.control import SupervisorUnreachable

from .decision import Decision, Door, Outcome, Person, Shown, decide
from .snapshot import Snapshot
from .tokens import How, Token
from .watch import Watch

#: How often (seconds) it is looked whether the rows have changed, and for how long after a change passes are looked at:
#: who came in by what was true a moment before has opened his WebSocket by then.
LOOK, AFTER = 0.5, 5.0
#: So many passes are revoked in one request: it is one packet (``webapps.runtime.packets``).
MOST = 500
BASIC, LOGIN, NOBODY = "b", "c", "-"


@dataclass(frozen=True)
class CameBy:
    """What somebody has shown at the door. ``how`` is a token's, or one of the letters above."""

    user: int = 0
    how: str = NOBODY
    sign_in: str = ""
    proof: str = ""

    @classmethod
    def session(cls, token: Token) -> CameBy:
        """Return what an application's session stands for."""
        return cls(token.user, token.how.value, token.sign_in, token.proof)

    @classmethod
    def login(cls, token: Token) -> CameBy:
        """Return what a login cookie stands for."""
        return cls(token.user, LOGIN, token.sign_in, token.proof)

    @classmethod
    def basic(cls, person: Person) -> CameBy:
        """Return what a password stands for."""
        return cls(person.id, BASIC, "", person.proof)

    def text(self, decision: Decision) -> str:
        """Return the pass: what was shown, and the roles that it led to."""
        return f"{self.user}.{self.how}.{self.sign_in}.{self.proof}.{_digest(decision.roles)}"


NOTHING = CameBy()


def counts(snapshot: Snapshot, app: str, text: str) -> bool:
    """Say whether a pass would be given again: the same person, by the same means, with the same roles."""
    door = snapshot.doors.get(app)
    came_by = _read(text)
    if door is None or came_by is None:
        return False
    decision = _again(snapshot, door, came_by)
    return decision is not None and decision.outcome is Outcome.ENTER and came_by.text(decision) == text


def _read(text: str) -> CameBy | None:
    parts = text.split(".")
    if len(parts) != 5 or not parts[0].isdecimal():
        return None
    return CameBy(int(parts[0]), *parts[1:4])


def _again(snapshot: Snapshot, door: Door, came_by: CameBy) -> Decision | None:
    if came_by.how == NOBODY:
        return decide(door, snapshot.allowed, Shown())
    person = snapshot.people.get(came_by.user)
    if person is None or person.proof != came_by.proof or came_by.sign_in in snapshot.ended:
        return None
    if came_by.how == BASIC:
        return decide(door, snapshot.allowed, Shown(basic=person))
    if came_by.how == LOGIN:
        return decide(door, snapshot.allowed, Shown(login=person))
    known = came_by.how in set(How)
    return decide(door, snapshot.allowed, Shown(session=(person, How(came_by.how)))) if known else None


def _digest(roles: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(sorted(roles)).encode(errors="surrogatepass")).hexdigest()[:8]


class Revoker:
    """Look at the passes of open WebSockets whenever the rows have changed, in a thread of its own.

    ``ask`` puts a request to the supervisor and may raise SupervisorUnreachable.
    """

    def __init__(self, watch: Watch, ask: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self.watch, self.ask = watch, ask
        self.seen: Snapshot | None = None
        self.until = 0.0
        self.trouble = ""

    def start(self) -> None:
        """Look until the process ends."""
        threading.Thread(target=self._run, name="passes", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self.look(time.monotonic())
            except Exception as error:  # What an application wrote may not end this thread.
                print(f"the passes of open WebSockets could not be looked at: {error!r}", file=sys.stderr, flush=True)
            time.sleep(LOOK)

    def look(self, now: float) -> None:
        """Revoke what does not count any more, for a while after a change."""
        snapshot = self.watch.snapshot
        if snapshot is None:
            return
        if snapshot is not self.seen:
            self.seen, self.until = snapshot, now + AFTER
        if now < self.until:
            try:
                self._revoke(snapshot)
                self.trouble = ""
            except SupervisorUnreachable as error:
                self.until = now + AFTER  # It is back in a moment.
                self._say(f"the supervisor cannot be asked which WebSockets are open: {error}")

    def _say(self, trouble: str) -> None:
        """Say once what keeps WebSockets open that should be closed."""
        if not self.trouble:
            print(trouble, file=sys.stderr, flush=True)
        self.trouble = trouble

    def _revoke(self, snapshot: Snapshot) -> None:
        gone: dict[str, list[str]] = {}
        for key, texts in self.ask({"do": "passes"}).get("passes", {}).items():
            app = key.partition("/")[0]
            gone.setdefault(app, []).extend(text for text in texts if not counts(snapshot, app, text))
        for app, texts in gone.items():
            for at in range(0, len(texts), MOST):
                self.ask({"do": "revoke", "passes": {app: texts[at : at + MOST]}})
