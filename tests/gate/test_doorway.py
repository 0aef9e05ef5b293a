"""The ways in and out of the applications' origin: which cookies are given, and what ends."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from portal.gate import snapshot, tokens
from portal.gate.doorway import Doorway
from portal.gate.entry import Ticket, digest, issue
from portal.gate.gatekeeper import Gatekeeper
from portal.gate.origins import Origins
from portal.gate.pages import Answer
from portal.gate.passwords import Passwords
from portal.gate.watch import Watch
from webapps.models import Change, SignIn, WebApp

NONCE = "a-nonce"
PASSWORD, LOGIN_COOKIE = 32, 16384


class Now(Watch):
    """A watch that looks when it is asked, in this thread."""

    def look_now(self, patience: float = 2.0) -> None:
        self.look()


@pytest.fixture
def doorway(db: None) -> Doorway:
    signer = tokens.Signer("secret")
    watch = Now(Change.counters, lambda: snapshot.read(signer.key))
    watch.look()
    return Doorway(Gatekeeper(signer, watch, Passwords()), Origins("http://apps.example", "http://portal.example"))


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ida")


def enter(
    doorway: Doorway, webapp: WebApp, user: User, how: str = "p", way_back: str = "/csp/notes/x", **more: str
) -> Answer:
    ticket = Ticket(webapp.pk, "http://apps.example", way_back, digest(NONCE))
    sign_in = SignIn.objects.create(user=user, session_key=more.get("session_key", ""))
    code = issue(ticket, sign_in, how).partition("code=")[2]
    cookie = f"{tokens.cookie_of_nonce(digest(NONCE))}={NONCE}"
    return doorway.enter(code, {"HTTP_COOKIE": cookie, "HTTP_STOA_SCHEME": more.get("scheme", "http")})


def given(answer: Answer) -> dict[str, str]:
    """Return the cookies that an answer sets, by name, those that it takes away left out."""
    lines = [value for name, value in answer.headers if name == "Set-Cookie"]
    return {line.partition("=")[0]: line for line in lines if "Max-Age=0;" not in line}


@pytest.mark.parametrize(
    ("methods", "host", "how", "names"),
    [
        (PASSWORD, "", "p", {"stoa_a"}),
        (PASSWORD | LOGIN_COOKIE, "", "p", {"stoa_a", "stoa_login"}),
        (PASSWORD | LOGIN_COOKIE, "", "l", {"stoa_login"}),
        (LOGIN_COOKIE, "", "l", {"stoa_login"}),
        # On a Host of its own an application gets a session of its own, and nothing that opens another.
        (PASSWORD | LOGIN_COOKIE, "own.example", "p", {"stoa_a"}),
        (PASSWORD | LOGIN_COOKIE, "own.example", "l", {"stoa_a"}),
    ],
)
def test_which_cookies_are_given(
    doorway: Doorway, webapp: WebApp, user: User, methods: int, host: str, how: str, names: set[str]
) -> None:
    webapp.authe_enabled, webapp.host = methods, host
    webapp.save()

    answer = enter(doorway, webapp, user, how)

    assert answer.status == 303
    assert dict(answer.headers)["Location"] == "/csp/notes/x"
    assert {re.sub(r"\d+$", "", name) for name in given(answer)} == names | {tokens.HERE}


def test_a_group_shares_a_cookie_for_the_whole_origin(doorway: Doorway, webapp: WebApp, user: User) -> None:
    webapp.authe_enabled, webapp.group_by_id = PASSWORD, "pair"
    webapp.save()

    cookie = given(enter(doorway, webapp, user))[tokens.cookie_of_group("pair")]

    assert "; Path=/; " in cookie


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cookies_are_kept_from_script_and_secure_under_https(
    doorway: Doorway, webapp: WebApp, user: User, scheme: str
) -> None:
    webapp.authe_enabled = PASSWORD
    webapp.save()

    for name, line in given(enter(doorway, webapp, user, scheme=scheme)).items():
        assert name.startswith("__Secure-stoa_" if scheme == "https" else "stoa_")
        assert "; HttpOnly; SameSite=Lax" in line
        assert line.endswith("; Secure") is (scheme == "https")


@pytest.mark.parametrize("way_back", ["//evil.example/", "/\\evil.example", "https://evil.example/", "/a\r\nX: y", ""])
def test_the_way_back_is_a_path_of_this_origin(doorway: Doorway, webapp: WebApp, user: User, way_back: str) -> None:
    answer = enter(doorway, webapp, user, way_back=way_back)

    assert dict(answer.headers)["Location"] == "/csp/notes/"


def test_a_used_code_is_said_in_words(doorway: Doorway) -> None:
    answer = doorway.enter("no-code", {})

    assert answer.status == 400
    assert b"This way in is used or too old" in answer.body


def test_leaving_asks_first_and_then_ends_what_this_browser_has_entered(
    doorway: Doorway, webapp: WebApp, user: User
) -> None:
    Session.objects.create(session_key="k" * 32, session_data="", expire_date=timezone.now())
    webapp.authe_enabled = PASSWORD
    webapp.save()
    here = given(enter(doorway, webapp, user, session_key="k" * 32))[tokens.HERE].partition(";")[0]
    others = SignIn.objects.create(user=user)

    asked = doorway.leave({"REQUEST_METHOD": "GET", "HTTP_COOKIE": here})
    assert (asked.status, SignIn.objects.filter(ended=None).count()) == (200, 2)
    left = doorway.leave({"REQUEST_METHOD": "POST", "HTTP_COOKIE": here})

    assert b"You are signed out" in left.body
    assert list(SignIn.objects.filter(ended=None)) == [others]
    assert not Session.objects.exists()


@pytest.mark.parametrize("cookie", ["", "stoa_here=forged", "stoa_login=x; stoa_here=", "stoa_here=a; stoa_here=b"])
def test_leaving_with_what_is_not_ours_ends_nothing(doorway: Doorway, user: User, cookie: str) -> None:
    SignIn.objects.create(user=user)

    answer = doorway.leave({"REQUEST_METHOD": "POST", "HTTP_COOKIE": cookie})

    assert answer.status == 200
    assert SignIn.objects.filter(ended=None).count() == 1


def test_a_database_that_is_not_confirmed_lets_nobody_in_or_out(doorway: Doorway, monkeypatch: Any) -> None:
    monkeypatch.setattr(doorway.keeper.watch, "clock", lambda: float("inf"))

    assert doorway.enter("code", {}).status == 503
    assert doorway.leave({"REQUEST_METHOD": "POST"}).status == 503
