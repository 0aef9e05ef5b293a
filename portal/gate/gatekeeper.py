"""Put together what a request shows, and decide."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from . import tokens
from .decision import PASSWORD, Decision, Door, Outcome, Person, Shown, decide
from .passes import NOTHING, CameBy
from .passwords import Passwords
from .snapshot import Snapshot
from .tokens import How, Signer, Token
from .watch import Watch

#: For how long (seconds) a password that was right is not hashed again, and how many are remembered.
REMEMBERED, MOST_REMEMBERED = 60.0, 10_000
#: A session's token is renewed when so much of its time has gone.
RENEW_AFTER = 0.25
DAYS = 86400
LONGEST = 7 * DAYS

#: What the front says of a request, by the names that PEP 3333 gives its headers.
Environ = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """A decision, with the cookie that renews the session ("": none) and how long a lock lasts (seconds).

    ``came_by`` is what stands behind it: it is told again and again as long as a WebSocket is open.
    """

    decision: Decision
    cookie: str = ""
    seconds: int = 0
    came_by: CameBy = NOTHING

    @cached_property
    def headers(self) -> list[tuple[str, str]]:
        """What the front passes on to the application, or why it may not."""
        decision = self.decision
        if decision.outcome is not Outcome.ENTER:
            why = decision.outcome.value if not self.seconds else f"{decision.outcome.value} {self.seconds}"
            return [("Stoa-Why", why), ("Content-Length", "0")]
        headers = [
            ("Stoa-User", as_sent(decision.user)),
            ("Stoa-Groups", groups(decision.roles)),
            ("Stoa-Pass", self.came_by.text(decision)),
        ]
        if self.cookie:
            headers.append(("Set-Cookie", self.cookie))
        return headers


@dataclass(frozen=True)
class Entered:
    """What was said of equal cookies lately; it holds as long as the rows are the same, and until a time."""

    snapshot: Snapshot
    until: float
    said: Said


BUSY = Said(Decision(Outcome.BUSY))


class Gatekeeper:
    """Decide on requests, from the rows, the tokens, and passwords that are checked elsewhere."""

    def __init__(self, signer: Signer, watch: Watch, passwords: Passwords) -> None:
        self.signer = signer
        self.watch = watch
        self.passwords = passwords
        self.remembered: dict[bytes, float] = {}
        self.entered: dict[tuple[str, str], Entered] = {}
        self.key = os.urandom(32)

    def door(self, environ: Environ) -> Door | None:
        """Return what is asked at the application, looking again where it is not known yet; None: nobody can say."""
        snapshot = self.watch.fresh
        app = environ.get("HTTP_STOA_APP", "")
        if snapshot is None:
            return None
        if app not in snapshot.doors:
            self.watch.look_now()
            snapshot = self.watch.fresh
        return snapshot.doors.get(app) if snapshot else None

    def ask(self, environ: Environ) -> Said:
        """Decide on a request as the front describes it.

        A browser sends the same cookies again and again: what they led to is kept while nothing has changed.
        """
        if "HTTP_AUTHORIZATION" not in environ:
            known = self.entered.get((environ.get("HTTP_STOA_APP", ""), environ.get("HTTP_COOKIE", "")))
            if known and known.snapshot is self.watch.fresh and time.time() < known.until:
                return known.said
        door = self.door(environ)
        snapshot = self.watch.fresh
        if snapshot is None or door is None:
            return BUSY
        authorization = environ.get("HTTP_AUTHORIZATION", "")
        if authorization and authorization[:5].lower() == "basic":
            return self._with_basic(snapshot, door, authorization, environ.get("HTTP_STOA_CLIENT", ""))
        return self._with_cookies(snapshot, door, environ)

    # Cookies

    def _with_cookies(self, snapshot: Snapshot, door: Door, environ: Environ) -> Said:
        header = environ.get("HTTP_COOKIE", "")
        if tokens.PREFIX not in header:
            return Said(decide(door, snapshot.allowed, Shown()))
        now = time.time()
        name = session_cookie(door)
        session = self.token(snapshot, header, name, now)
        # A login cookie is for the origin that applications share; one with a Host of its own can have taken it there.
        login = None if door.host else self.token(snapshot, header, tokens.LOGIN, now)
        decision = decide(
            door,
            snapshot.allowed,
            Shown(
                session=(snapshot.people[session.user], session.how) if session else None,
                login=snapshot.people[login.user] if login else None,
            ),
        )
        if decision.outcome is not Outcome.ENTER or decision.person is None:
            return Said(decision)
        if session and session.user == decision.person.id:
            came_by = CameBy.session(session)
            if cookie := self._renewed(snapshot, door, session, environ, now):
                return Said(decision, cookie, came_by=came_by)
            until = min(session.expires, session.issued + RENEW_AFTER * snapshot.session_timeout)
        else:
            came_by = CameBy.login(login) if login else NOTHING
            until = login.expires if login else 0
        return self._kept(Entered(snapshot, until, Said(decision, came_by=came_by)), environ)

    def _kept(self, entered: Entered, environ: Environ) -> Said:
        if len(self.entered) >= MOST_REMEMBERED:
            self.entered.clear()
        self.entered[environ.get("HTTP_STOA_APP", ""), environ.get("HTTP_COOKIE", "")] = entered
        return entered.said

    def token(self, snapshot: Snapshot, header: str, name: str, now: float) -> Token | None:
        """Return the token in a cookie where it still counts: user, password and sign-in are as they were."""
        value = tokens.cookies_of(header, name)
        token = self.signer.read(value, name, now) if value else None
        if token is None or token.sign_in in snapshot.ended:
            return None
        person = snapshot.people.get(token.user)
        return token if person and person.proof == token.proof else None

    def _renewed(self, snapshot: Snapshot, door: Door, token: Token, environ: Environ, now: float) -> str:
        if now - token.issued < RENEW_AFTER * snapshot.session_timeout:
            return ""
        fresh = replace(token, issued=int(now), expires=expiry(token.began, now, snapshot.session_timeout))
        secure = environ.get("HTTP_STOA_SCHEME") == "https"
        return self.session_cookie(door, fresh, secure=secure)

    def session_cookie(self, door: Door, token: Token, *, secure: bool) -> str:
        """Return the Set-Cookie line of an application's (or its group's) session."""
        name = session_cookie(door)
        path = "/" if door.group else door.mount or "/"
        return cookie_line(name, self.signer.sign(token, name), path, token.expires - token.issued, secure=secure)

    def login_cookie(self, token: Token, *, secure: bool) -> str:
        """Return the Set-Cookie line of a login cookie, which all applications that allow it share."""
        value = self.signer.sign(token, tokens.LOGIN)
        return cookie_line(tokens.LOGIN, value, "/", token.expires - token.issued, secure=secure)

    # Basic

    def _with_basic(self, snapshot: Snapshot, door: Door, authorization: str, client: str) -> Said:
        if not door.methods & snapshot.allowed & PASSWORD:
            return Said(decide(door, snapshot.allowed, Shown(basic=Outcome.WRONG)))
        credentials = basic_of(authorization)
        if credentials is None:
            return Said(decide(door, snapshot.allowed, Shown(basic=Outcome.WRONG)))
        basic, seconds = self._verified(snapshot, *credentials, client)
        came_by = CameBy.basic(basic) if isinstance(basic, Person) else NOTHING
        return Said(decide(door, snapshot.allowed, Shown(basic=basic)), seconds=seconds, came_by=came_by)

    def _verified(self, snapshot: Snapshot, user: str, password: str, address: str) -> tuple[Person | Outcome, int]:
        person = snapshot.people.get(snapshot.names.get(user, 0))
        digest = self._digest(user, password, person.proof) if person else b""
        if person and self.remembered.get(digest, 0.0) > time.monotonic():
            return person, 0
        checked = self.passwords.check(user, password, address)
        if checked.outcome == "right" and person:
            self._remember(digest)
            return person, 0
        if checked.outcome == "right":
            return Outcome.BUSY, 0  # Somebody who is not known here yet: he is in a moment.
        return Outcome(checked.outcome), checked.seconds

    def _digest(self, user: str, password: str, proof: str) -> bytes:
        """Stand for a password that was right, under a key of this process; another password, another proof."""
        text = "\0".join((user, password, proof))
        return hmac.digest(self.key, text.encode(errors="surrogatepass"), "sha256")

    def _remember(self, digest: bytes) -> None:
        if len(self.remembered) >= MOST_REMEMBERED:
            self.remembered.clear()
        self.remembered[digest] = time.monotonic() + REMEMBERED


def session_cookie(door: Door) -> str:
    """Return the name of the cookie that holds a session with an application."""
    return tokens.cookie_of_group(door.group) if door.group else tokens.cookie_of_application(door.id)


def new_token(person: Person, sign_in: str, how: How, began: int, now: float, lasts: int) -> Token:
    """Return a token for a sign-in that began then; ``lasts`` is seconds."""
    return Token(person.id, sign_in, how, began, int(now), expiry(began, now, lasts), person.proof)


def expiry(began: int, now: float, lasts: int) -> int:
    """Return when a token expires: after its time, and never later than the sign-in itself."""
    return min(int(now) + lasts, began + LONGEST)


def cookie_line(name: str, value: str, path: str, lasts: int, *, secure: bool) -> str:
    """Return a Set-Cookie line that script cannot read; ``lasts`` is seconds, 0 takes the cookie away."""
    line = f"={value}; Path={path}; Max-Age={max(0, lasts)}; HttpOnly; SameSite=Lax"
    return f"{tokens.over_https(name)}{line}; Secure" if secure else name + line


def basic_of(authorization: str) -> tuple[str, str] | None:
    """Return user and password of a Basic header (RFC 7617), None where it is malformed."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None


def groups(roles: tuple[str, ...]) -> str:
    """Return the roles as one line; a name that could be taken for two, or end the line, is left out."""
    return as_sent(",".join(role for role in roles if "," not in role and role.isprintable()))


def as_sent(text: str) -> str:
    """Return text as PEP 3333 wants it in a header: UTF-8, a character for each byte."""
    return text if text.isascii() else text.encode().decode("latin-1")
