"""The ways in and out of the applications' origin."""

from __future__ import annotations

import time

from django.contrib.sessions.models import Session
from django.core import signing
from django.db import DatabaseError, close_old_connections
from django.db.models import Q

from webapps.models import SignIn

from . import tokens
from .decision import LOGIN_COOKIE, Door
from .entry import Admitted, NotAdmitted, exchange
from .gatekeeper import LONGEST, Environ, Gatekeeper, cookie_line, new_token
from .origins import Origins, way_back
from .pages import Answer, Page, answer, redirect
from .snapshot import Snapshot
from .tokens import How

HERE_SALT = "stoa.gate.here"
#: How many sign-ins of one browser are remembered for leaving.
MOST_HERE = 20
STALE = Page(
    400,
    "This way in is used or too old",
    [
        "A sign-in leads to an application once, within a minute, in the browser that asked for it. "
        "Open the application again: you are asked only where it has to be."
    ],
)
BUSY = Page(
    503,
    "The door does not answer",
    ["Signing in and out is not possible at this moment. Try again shortly."],
    headers=[("Retry-After", "2")],
)
ASK = Page(200, "Sign out", ["You leave every application that you are signed in to here."], form=("Sign out", ""))
GONE = Page(200, "You are signed out", ["Of the applications here, and of the portal in this browser."])


class Doorway:
    """Let people in who come back with a code, and out who want to leave."""

    def __init__(self, keeper: Gatekeeper, origins: Origins) -> None:
        self.keeper = keeper
        self.origins = origins

    def enter(self, code: str, environ: Environ) -> Answer:
        """Exchange a one-time code for the application's cookie, and go where the person wanted to go."""
        close_old_connections()
        self.keeper.watch.look_now()  # Somebody who was made a moment ago is known by now.
        accept = environ.get("HTTP_ACCEPT", "")
        snapshot = self.keeper.watch.fresh
        header = environ.get("HTTP_COOKIE", "")
        try:
            admitted = exchange(code, header) if snapshot else None
        except NotAdmitted:
            return answer(STALE, accept)
        except DatabaseError:
            admitted = None
        door = snapshot.doors.get(str(admitted.webapp.pk)) if snapshot and admitted else None
        if snapshot is None or admitted is None or door is None:
            return answer(BUSY, accept)
        secure = environ.get("HTTP_STOA_SCHEME") == "https"
        cookies = self._cookies(snapshot, door, admitted, signed_in_here(header), secure=secure)
        return redirect(303, way_back(admitted.way_back, door.mount), cookies)

    def _cookies(
        self, snapshot: Snapshot, door: Door, admitted: Admitted, known: list[str], *, secure: bool
    ) -> list[str]:
        """Return the session's cookie, and the login cookie where application and system allow it."""
        user = admitted.sign_in.user
        person = snapshot.people.get(user.pk)
        if person is None:
            return []
        now, began = time.time(), int(admitted.sign_in.began.timestamp())
        key, how = admitted.sign_in.key, How(admitted.how)
        cookies = [
            cookie_line(tokens.cookie_of_nonce(admitted.browser), "", "/-/enter", 0, secure=secure),
            cookie_line(tokens.HERE, here([*known, key]), "/-/", LONGEST, secure=secure),
        ]
        if how is How.PASSWORD or door.host:
            token = new_token(person, key, how, began, now, snapshot.session_timeout)
            cookies.append(self.keeper.session_cookie(door, token, secure=secure))
        # Not on a Host of an application's own, where its service worker sees what is sent back: there the portal is
        # asked again when the session has ended.
        if door.methods & snapshot.allowed & LOGIN_COOKIE and not door.host:
            token = new_token(person, key, How.LOGIN_COOKIE, began, now, snapshot.login_cookie_expires)
            cookies.append(self.keeper.login_cookie(token, secure=secure))
        return cookies

    def leave(self, environ: Environ) -> Answer:
        """Ask whether to sign out; POST ends every sign-in that the browser has a token of."""
        accept = environ.get("HTTP_ACCEPT", "")
        snapshot = self.keeper.watch.fresh
        if environ.get("REQUEST_METHOD") != "POST":
            return answer(ASK, accept)
        if snapshot is None:
            return answer(BUSY, accept)
        close_old_connections()
        header = environ.get("HTTP_COOKIE", "")
        try:
            self._end(snapshot, header)
            self.keeper.watch.look_now()  # Whoever has left does not get in again by what is in his browser.
        except DatabaseError:
            return answer(BUSY, accept)
        secure = environ.get("HTTP_STOA_SCHEME") == "https"
        places = {tokens.LOGIN: "/", tokens.HERE: "/-/"}
        taken = [("Set-Cookie", cookie_line(name, "", path, 0, secure=secure)) for name, path in places.items()]
        return answer(Page(GONE.status, GONE.title, GONE.words, headers=taken), accept)

    def _end(self, snapshot: Snapshot, header: str) -> None:
        """End the sign-ins of this browser, and the portal's session that they were made in."""
        now = time.time()
        keys = set(signed_in_here(header))
        found = (self.keeper.token(snapshot, header, name, now) for name in _names(header))
        keys |= {token.sign_in for token in found if token}
        sessions = SignIn.objects.filter(key__in=keys).exclude(session_key="").values_list("session_key", flat=True)
        together = Q(session_key__in=list(sessions))
        Session.objects.filter(together).delete()
        SignIn.end(Q(key__in=keys) | together)


def here(keys: list[str]) -> str:
    """Return the value of the cookie that names the latest sign-ins of a browser."""
    return signing.dumps(keys[-MOST_HERE:], salt=HERE_SALT)


def signed_in_here(header: str) -> list[str]:
    """Return the sign-ins that the browser's cookie names, none where it is not ours."""
    try:
        return list(signing.loads(tokens.cookies_of(header, tokens.HERE) or "", salt=HERE_SALT))
    except signing.BadSignature:
        return []


def _names(header: str) -> set[str]:
    names = {pair.strip(" \t").partition("=")[0] for pair in header.split(";")}
    return {name for name in names if name.startswith(tokens.PREFIX)}
