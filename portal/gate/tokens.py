"""What a browser carries: signed, expiring tokens in cookies of Stoa's, each for one scope.

A token is ``user.sign_in.how.began.issued.expires.proof.signature`` in ASCII, times in seconds since the epoch. The
signature (HMAC-SHA-256, RFC 2104) covers the scope too, which is the cookie's name: a token that is put into another
cookie is not that cookie's. ``proof`` changes with the user's password.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "stoa_"
LOGIN = f"{PREFIX}login"
#: The nonce that binds a one-time code to the browser that asked for it.
NONCE = f"{PREFIX}enter_"
#: The sign-ins of this browser, for the page that ends them: applications' cookies are sent to applications alone.
HERE = f"{PREFIX}here"
PROOF = 16
#: What a browser keeps to HTTPS, and with ``__Host-`` to this very host (RFC 6265bis, section 4.1.3): a cookie for "/".
HOST, SECURE = "__Host-", "__Secure-"
NAMED = re.compile(rf"({HOST}|{SECURE})?({PREFIX}[^=;]*)")
#: No token is longer; what is longer is not looked at.
LONGEST = 256


class How(StrEnum):
    """What stands behind a token: it counts only while that method is in force."""

    PASSWORD = "p"  # noqa: S105
    LOGIN_COOKIE = "l"


@dataclass(frozen=True)
class Token:
    """A sign-in as a browser carries it. Times are seconds since the epoch."""

    user: int
    sign_in: str
    how: How
    began: int
    issued: int
    expires: int
    proof: str

    @property
    def text(self) -> str:
        """All of it but the signature."""
        parts = (self.user, self.sign_in, self.how.value, self.began, self.issued, self.expires, self.proof)
        return ".".join(map(str, parts))


def cookie_of_application(app_id: int) -> str:
    """Return the name of the cookie that lets into one application alone."""
    return f"{PREFIX}a{app_id}"


def cookie_of_group(group: str) -> str:
    """Return the name of the cookie that the applications of one group share."""
    return f"{PREFIX}g{hashlib.sha256(group.encode()).hexdigest()[:16]}"


def cookie_of_nonce(browser: str) -> str:
    """Return the name of the cookie that holds the nonce with this digest: each tab that asks has one of its own."""
    return f"{NONCE}{browser[:16]}"


def over_https(cookie: str) -> str:
    """Return the name that a cookie has over HTTPS, by its own."""
    everywhere = cookie == LOGIN or cookie.startswith(f"{PREFIX}g")
    return f"{HOST if everywhere else SECURE}{cookie}"


def from_https(header: str) -> str:
    """Return a Cookie header of HTTPS with Stoa's cookies under their own names, and without those that others can add.

    A neighbouring host name, and who answers in clear at this one, can set ``stoa_login``, but not its name over HTTPS.
    """
    return ";".join(filter(None, map(_own_name, header.split(";")))) if PREFIX in header else header


def _own_name(pair: str) -> str:
    name, equals, value = pair.strip(" \t").partition("=")
    found = NAMED.fullmatch(name)
    if found is None:
        return pair
    return f" {found[2]}{equals}{value}" if name == over_https(found[2]) else ""


def proof_of(password: str, key: bytes) -> str:
    """Return what stands for a user's stored password in his tokens: another password, another proof."""
    return hmac.digest(key, b"proof:" + password.encode(), "sha256").hex()[:PROOF]


class Signer:
    """Sign and read tokens with a key that is derived from Stoa's secret key."""

    def __init__(self, secret: str) -> None:
        self.key = hashlib.sha256(b"stoa gate " + secret.encode()).digest()

    def sign(self, token: Token, cookie: str) -> str:
        """Return the value of a cookie of this name."""
        return f"{token.text}.{self._signature(token.text, cookie)}"

    def read(self, value: str, cookie: str, now: float) -> Token | None:
        """Return the token in a cookie, None where it is forged, expired, another cookie's, or none at all."""
        text, _, signature = value.rpartition(".")
        if len(value) > LONGEST or not value.isascii():
            return None
        if not hmac.compare_digest(signature, self._signature(text, cookie)):
            return None
        # What carries our signature was written by us.
        user, sign_in, how, began, issued, expires, proof = text.split(".")
        if int(expires) <= now or int(issued) > now + 60:
            return None
        return Token(int(user), sign_in, How(how), int(began), int(issued), int(expires), proof)

    def _signature(self, text: str, cookie: str) -> str:
        digest = hmac.digest(self.key, f"{cookie}:{text}".encode(), "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")


def cookies_of(header: str, wanted: str) -> str | None:
    """Return the value of the one cookie of this name, None where there is none or more than one.

    Script on another port of this host can add a second one: then nobody is signed in.
    """
    found = None
    for pair in header.split(";"):
        # Nothing but what RFC 6265 has between cookies: str.strip() takes away what the front's pattern does not know.
        name, _, value = pair.strip(" \t").partition("=")
        if name == wanted:
            if found is not None:
                return None
            found = value
    return found
