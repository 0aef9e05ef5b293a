"""The way through the sign-in page and back.

1. The gate gives the browser a nonce in a cookie and sends it to the portal with a signed ticket: which application,
   from which origin and path it came, and a digest of the nonce.
2. The portal signs the person in, notes a one-time code for that ticket, and sends the browser back with it.
3. The gate exchanges the code for the application's cookie, once, and only for the browser that has the nonce.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, dataclass

from django.core import signing
from django.db import transaction
from django.utils import timezone

from webapps.models import EntryCode, SignIn, WebApp

from . import tokens

#: How long a sign-in page may lie open (seconds).
TICKET_LASTS = 3600
SALT = "stoa.gate.entry"


class NotAdmitted(Exception):
    """A ticket or a code that is forged, used, too old or another browser's."""


@dataclass(frozen=True)
class Ticket:
    """What the portal has to know to send the browser back."""

    app: int
    origin: str
    way_back: str
    browser: str

    @property
    def text(self) -> str:
        """The ticket, signed, as it stands in an address."""
        return signing.dumps(asdict(self), salt=SALT, compress=True)

    @classmethod
    def read(cls, text: str) -> Ticket:
        """Read a ticket that the gate has signed. Raises NotAdmitted."""
        try:
            return cls(**signing.loads(text, salt=SALT, max_age=TICKET_LASTS))
        except (signing.BadSignature, ValueError, TypeError) as error:
            raise NotAdmitted("the ticket is not valid") from error


def new_nonce() -> str:
    """Return what a browser keeps to be known again."""
    return secrets.token_urlsafe(18)


def digest(text: str) -> str:
    """Return SHA-256 of a nonce or code: what is noted gives neither away."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def issue(ticket: Ticket, sign_in: SignIn, how: str) -> str:
    """Note a one-time code and return the address that the browser has to go to with it."""
    code = secrets.token_urlsafe(24)
    EntryCode.objects.create(
        digest=digest(code),
        sign_in=sign_in,
        webapp_id=ticket.app,
        browser=ticket.browser,
        how=how,
        way_back=ticket.way_back,
    )
    return f"{ticket.origin}/-/enter?code={code}"


@dataclass(frozen=True)
class Admitted:
    """Who came back, to which application, by what, and where to; ``browser`` is the digest of the nonce."""

    sign_in: SignIn
    webapp: WebApp
    how: str
    way_back: str
    browser: str


def exchange(code: str, cookies: str) -> Admitted:
    """Take a code out of use and return what it stands for; ``cookies`` is the Cookie header. Raises NotAdmitted.

    A code that another browser brings is spent all the same: somebody has seen it.
    """
    found = _spend(code)
    if found is None:
        raise NotAdmitted("the code was used already, or never given")
    nonce = tokens.cookies_of(cookies, tokens.cookie_of_nonce(found.browser))
    if not nonce or not secrets.compare_digest(found.browser, digest(nonce)):
        raise NotAdmitted("the code is another browser's")
    if found.expires <= timezone.now() or found.sign_in.ended or not found.sign_in.user.is_active:
        raise NotAdmitted("the code is too old")
    return Admitted(found.sign_in, found.webapp, found.how, found.way_back, found.browser)


@transaction.atomic
def _spend(code: str) -> EntryCode | None:
    """Return what a code stands for, to one caller only."""
    rows = EntryCode.objects.select_related("sign_in", "sign_in__user", "webapp")
    found = rows.filter(digest=digest(code)).first() if code else None
    # Of two that come at once one deletes it.
    return found if found and EntryCode.objects.filter(digest=found.digest).delete()[0] else None
