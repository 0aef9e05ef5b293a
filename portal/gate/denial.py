"""What somebody gets who may not enter: the way to the sign-in page, a challenge, or a page that says why."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping

from . import tokens
from .decision import ALL, PASSWORD, Door, Outcome, Person
from .entry import TICKET_LASTS, Ticket, digest, new_nonce
from .gatekeeper import Environ, Gatekeeper, cookie_line, session_cookie
from .origins import Origins, same_authority, way_back
from .pages import Answer, Page, answer, redirect
from .snapshot import Snapshot

CHALLENGE = ("WWW-Authenticate", 'Basic realm="Stoa", charset="UTF-8"')
NOT_NOW = Page(
    503,
    "The door does not answer",
    ["This application asks who you are, and what decides on it cannot do so at this moment. Try again shortly."],
    headers=[("Retry-After", "2")],
)


#: nginx itself refuses what it finds behind an open door: a directory without an index.
NOTHING_THERE = Page(404, "There is nothing at this address", ["The directory has no index page."])


#: A connection that a browser keeps open may be asked by the front's last configuration once more.
GONE = Page(404, "There is no application at this address", ["It was disabled, deleted or renamed a moment ago."])


#: What the front asks where an application does not answer, and what it is told of one that is there.
LOST = "lost"
#: So many of those that lost one wait so long (seconds) for the rows to be looked at; other threads go on deciding.
FEW, PATIENCE = 4, 0.5
BROKEN_OFF = Page(
    502,
    "The application broke off",
    [
        "It ended while it was answering. It is started again by itself: try again in a moment. An administrator finds "
        "its last words in the portal’s log."
    ],
    headers=[("Retry-After", "5")],
)


class Denials:
    """Answer for the application where the gate has refused."""

    def __init__(self, keeper: Gatekeeper, origins: Origins) -> None:
        self.keeper = keeper
        self.origins = origins
        self.looking = threading.BoundedSemaphore(FEW)

    def answer(self, environ: Environ) -> Answer:
        """Return the whole answer; ``Stoa-Why`` is what the gate said."""
        why, _, seconds = environ.get("HTTP_STOA_WHY", "").partition(" ")
        accept = environ.get("HTTP_ACCEPT", "")
        if not why:
            return answer(NOTHING_THERE, accept)
        if why == LOST and self.looking.acquire(blocking=False):
            try:
                self.keeper.watch.look_now(PATIENCE)  # It may have been deleted a moment ago.
            finally:
                self.looking.release()
        door = self.keeper.door(environ)
        snapshot = self.keeper.watch.fresh
        if snapshot is not None and door is None:
            return answer(GONE, accept)
        if why == LOST:
            return answer(BROKEN_OFF, accept)
        if snapshot is None or door is None or why not in set(Outcome):
            return answer(NOT_NOW, accept)
        outcome = Outcome(why)
        if outcome is Outcome.SIGN_IN and _looks(environ):
            return self._to_sign_in(snapshot, door, environ)
        return answer(self._page(outcome, snapshot, door, environ, int(seconds or 0)), accept)

    def _page(self, outcome: Outcome, snapshot: Snapshot, door: Door, environ: Environ, seconds: int) -> Page:
        if outcome in (Outcome.SIGN_IN, Outcome.WRONG):
            return self._who_are_you(outcome, snapshot, door, environ)
        if outcome is Outcome.LOCKED:
            return _locked(seconds)
        makers: Mapping[Outcome, Callable[[Snapshot, Door, Environ], Page]] = {
            Outcome.NO_METHOD: self._no_method,
            Outcome.NO_RIGHT: self._no_right,
        }
        return makers[outcome](snapshot, door, environ) if outcome in makers else NOT_NOW

    # Who are you?

    def _to_sign_in(self, snapshot: Snapshot, door: Door, environ: Environ) -> Answer:
        """Send a browser to the portal, with a ticket back; first to the origin by which the application is known."""
        asked = environ.get("HTTP_STOA_HOST", "")
        others = {other.host for other in snapshot.doors.values() if other.host}
        origin = self.origins.of_application(door.host, asked, others)
        path = way_back(environ.get("HTTP_STOA_URI", ""), door.mount)
        # A proxy that is trusted may tell us another host than the one that the browser sees.
        if environ.get("HTTP_STOA_PROXIED") != "1" and not same_authority(origin, asked):
            return redirect(302, origin + path)
        nonce = new_nonce()
        ticket = Ticket(door.id, origin, path, digest(nonce))
        location = f"{self.origins.of_portal(asked)}/portal/enter?ticket={ticket.text}"
        name, secure = tokens.cookie_of_nonce(ticket.browser), environ.get("HTTP_STOA_SCHEME") == "https"
        cookie = cookie_line(name, nonce, "/-/enter", TICKET_LASTS, secure=secure)
        return redirect(302, location, [cookie])

    def _who_are_you(self, outcome: Outcome, snapshot: Snapshot, door: Door, environ: Environ) -> Page:
        """Challenge a client that is no browser page: what a script fetches must not open a dialog."""
        challenged = door.methods & snapshot.allowed & PASSWORD and "HTTP_SEC_FETCH_MODE" not in environ
        title = "Sign in first" if outcome is Outcome.SIGN_IN else "User name and password do not match"
        words = f"{door.label} asks who you are."
        links = [("Open it again and sign in", f"{door.mount}/")] if outcome is Outcome.SIGN_IN else []
        return Page(401, title, [words], links, headers=[CHALLENGE] if challenged else [])

    # No

    def _no_method(self, snapshot: Snapshot, door: Door, environ: Environ) -> Page:
        from webapps.choices import methods

        words = ["No way to enter is left for this application: its administrator has to allow one."]
        if self._is_administrator(snapshot, environ):
            its, system = _list(methods(door.methods)), _list(methods(snapshot.allowed))
            words = [
                f"No way to enter is left for {door.label}.",
                f"Its Allowed Authentication Methods are: {its}. The system allows: {system}. Change one of the two: "
                "the application’s Security settings, or Authentication/Web Session Options.",
            ]
        return Page(403, "Nobody may enter", words, self._links(door, environ))

    def _no_right(self, snapshot: Snapshot, door: Door, environ: Environ) -> Page:
        person = self._person(snapshot, door, environ)
        if person is None:
            words = [f"{door.label} requires a right that nobody in particular has, and offers no way to sign in."]
            return Page(403, "You may not enter", words, self._links(door, environ))
        words = [
            f"You are signed in as {person.name}, and none of your roles may use {door.label}.",
            "Ask its administrator for a role that holds what it requires, or sign in as somebody else.",
        ]
        return Page(403, "You may not enter", words, form=("Sign out", "/-/leave"))

    def _links(self, door: Door, environ: Environ) -> list[tuple[str, str]]:
        portal = self.origins.of_portal(environ.get("HTTP_STOA_HOST", ""))
        return [("For administrators: this application in the portal", f"{portal}/portal/webapps/{door.id}/")]

    def _is_administrator(self, snapshot: Snapshot, environ: Environ) -> bool:
        token = self.keeper.token(snapshot, environ.get("HTTP_COOKIE", ""), tokens.LOGIN, time.time())
        return bool(token and ALL in snapshot.people[token.user].roles)

    def _person(self, snapshot: Snapshot, door: Door, environ: Environ) -> Person | None:
        header = environ.get("HTTP_COOKIE", "")
        for name in (session_cookie(door), tokens.LOGIN):
            if token := self.keeper.token(snapshot, header, name, time.time()):
                return snapshot.people[token.user]
        return None


def _looks(environ: Environ) -> bool:
    """Say whether a person at a browser is looking: a GET or HEAD that wants a page."""
    accept = str(environ.get("HTTP_ACCEPT", "")).lower()
    return environ.get("HTTP_STOA_METHOD") in ("GET", "HEAD") and "text/html" in accept


def _locked(seconds: int) -> Page:
    minutes = max(1, math.ceil(seconds / 60))
    words = f"For this account, from this address, sign-in is locked for {minutes} more minute{'s'[: minutes != 1]}."
    return Page(429, "Too many wrong passwords", [words], headers=[("Retry-After", str(max(1, seconds)))])


def _list(words: list[str]) -> str:
    return ", ".join(words) or "none"
