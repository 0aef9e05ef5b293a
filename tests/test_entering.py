"""The sign-in page of an application: who gets a code, for which browser, and where nobody is led."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from django.core import signing
from django.test import Client

from portal import hashing
from portal.gate.entry import SALT, TICKET_LASTS, NotAdmitted, Ticket, digest, exchange
from portal.gate.tokens import cookie_of_nonce
from webapps.models import EntryCode, Options, SignIn, WebApp

PASSWORD, LOGIN_COOKIE = 32, 16384
ORIGIN = "http://apps.example:8000"
#: The cookies of the browser that asked with the nonce "nonce".
KNOWN = f"a=b; {cookie_of_nonce(digest('nonce'))}=nonce"
GIVEN = {"username": "ida", "password": "right of ida"}


@pytest.fixture
def users(db: None, settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # Not what is tested here.
    from django.contrib.auth.models import User

    for name in ("ida", "bob"):
        User.objects.create_user(name, password=f"right of {name}")


@pytest.fixture
def shared(webapp: WebApp, users: None) -> WebApp:
    webapp.authe_enabled = PASSWORD | LOGIN_COOKIE
    webapp.save()
    return webapp


@pytest.fixture
def alone(webapp: WebApp, users: None) -> WebApp:
    webapp.authe_enabled = PASSWORD
    webapp.save()
    return webapp


@pytest.fixture
def strict() -> Client:
    """A browser whose forms need their token."""
    return Client(enforce_csrf_checks=True)


def page(webapp: WebApp, nonce: str = "nonce", way_back: str = "/csp/notes/a?b") -> str:
    return f"/portal/enter?ticket={quote(Ticket(webapp.pk, ORIGIN, way_back, digest(nonce)).text)}"


def code_of(answer: Any) -> str:
    """Return the code of a redirect back to the application."""
    assert answer.status_code == 302, answer.content.decode()
    location = answer["Location"]
    assert location.startswith(f"{ORIGIN}/-/enter?code=")
    return str(location.partition("code=")[2])


def sign_in(client: Client, webapp: WebApp, nonce: str = "nonce", **given: str) -> str:
    return code_of(client.post(page(webapp, nonce), {**GIVEN, **given}))


def ended(code: str) -> bool:
    """Say whether the sign-in behind a code has ended."""
    return EntryCode.objects.get(digest=digest(code)).sign_in.ended is not None


def test_a_password_gives_a_code_that_leads_back(shared: WebApp, stranger: Client) -> None:
    admitted = exchange(sign_in(stranger, shared), KNOWN)

    assert (admitted.sign_in.user.username, admitted.webapp, admitted.way_back) == ("ida", shared, "/csp/notes/a?b")
    assert admitted.how == "p"


@pytest.mark.parametrize("given", [{"password": "wrong"}, {"username": "eve"}, {"username": ""}, {"password": "\0"}])
def test_a_wrong_password_gives_none(shared: WebApp, stranger: Client, given: dict[str, str]) -> None:
    answer = stranger.post(page(shared), {**GIVEN, **given})

    assert answer.status_code == 200
    assert "do not match" in answer.content.decode()
    assert not EntryCode.objects.exists()
    assert "right of ida" not in answer.content.decode()


def test_a_disabled_user_gets_none(shared: WebApp, stranger: Client) -> None:
    from django.contrib.auth.models import User

    User.objects.filter(username="ida").update(is_active=False)

    assert stranger.post(page(shared), GIVEN).status_code == 200


def test_a_sign_in_is_shared_where_login_cookie_is_allowed(shared: WebApp, stranger: Client) -> None:
    sign_in(stranger, shared)
    admitted = exchange(code_of(stranger.get(page(shared))), KNOWN)

    assert admitted.how == "l"
    assert SignIn.objects.count() == 1


def test_password_alone_asks_each_time_and_signs_nobody_in_to_the_portal(alone: WebApp, stranger: Client) -> None:
    sign_in(stranger, alone)

    assert "Password" in stranger.get(page(alone)).content.decode()
    assert stranger.get("/portal/").status_code == 302


def test_somebody_signed_in_can_be_somebody_else(shared: WebApp, stranger: Client) -> None:
    first = sign_in(stranger, shared)
    assert stranger.get(page(shared) + "&again=1").status_code == 200
    second = code_of(stranger.post(page(shared) + "&again=1", {"username": "bob", "password": "right of bob"}))

    assert ended(first)
    assert exchange(second, KNOWN).sign_in.user.username == "bob"


@pytest.mark.parametrize("again", ["", "&again=1"])
def test_signing_out_of_the_portal_ends_all_that_was_entered_by_it(
    shared: WebApp, stranger: Client, again: str
) -> None:
    codes = [sign_in(stranger, shared)]
    codes.append(code_of(stranger.post(page(shared) + again, GIVEN)))
    stranger.post("/portal/logout")

    assert [ended(code) for code in codes] == [True, True]
    for code in codes:
        with pytest.raises(NotAdmitted):
            exchange(code, KNOWN)


def test_password_alone_before_the_portal_ends_with_it(alone: WebApp, strict: Client) -> None:
    strict.get(page(alone))
    token = strict.session["_csrftoken"]
    code = code_of(strict.post(page(alone), {**GIVEN, "csrfmiddlewaretoken": token}))
    strict.post("/portal/login", {**GIVEN, "csrfmiddlewaretoken": strict.session["_csrftoken"]})
    assert not ended(code)
    strict.post("/portal/logout", {"csrfmiddlewaretoken": strict.session["_csrftoken"]})

    assert ended(code)


def test_the_form_carries_a_token_unless_the_application_does_without(shared: WebApp, strict: Client) -> None:
    assert strict.post(page(shared), GIVEN).status_code == 403
    assert strict.post(page(shared), {**GIVEN, "csrfmiddlewaretoken": "x" * 64}).status_code == 403
    shared.csrf_token = False
    shared.save()

    assert sign_in(strict, shared)


def test_a_page_that_another_tab_has_made_too_old_is_asked_for_anew(alone: WebApp, strict: Client) -> None:
    strict.get(page(alone))
    old = strict.session["_csrftoken"]
    strict.post("/portal/login", {**GIVEN, "csrfmiddlewaretoken": old})

    answer = strict.post(page(alone), {**GIVEN, "csrfmiddlewaretoken": old})

    assert answer.status_code == 403
    assert "once more" in answer.content.decode()
    assert 'value="ida"' in answer.content.decode()
    assert code_of(strict.post(page(alone), {**GIVEN, "csrfmiddlewaretoken": strict.session["_csrftoken"]}))


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-site"}, {"origin": ORIGIN}, {"origin": "null"}])
def test_without_the_token_another_page_still_may_not_send_the_form(
    shared: WebApp, strict: Client, headers: dict[str, str]
) -> None:
    shared.csrf_token = False
    shared.save()

    assert strict.post(page(shared), GIVEN, headers=headers).status_code == 403


def test_a_browser_that_keeps_nothing_is_not_sent_in_circles(shared: WebApp, stranger: Client) -> None:
    sign_in(stranger, shared)
    statuses = [stranger.get(page(shared)).status_code for _ in range(5)]

    assert statuses == [302, 302, 302, 400, 400]


@pytest.mark.parametrize("system", [{"allow_password": False, "allow_login_cookie": False}])
def test_nothing_left_is_said(shared: WebApp, stranger: Client, administrator: Client, system: dict[str, bool]) -> None:
    Options(**system).save()

    for client in (stranger, administrator):
        answer = client.get(page(shared))
        assert answer.status_code == 403
        assert ("Security settings" in answer.content.decode()) is (client is administrator)
    assert stranger.post(page(shared), GIVEN).status_code == 403


def test_a_locked_pair_is_told_for_how_long(shared: WebApp, stranger: Client) -> None:
    Options(invalid_login_limit=2, lock_seconds=90).save()
    for _ in range(2):
        stranger.post(page(shared), {**GIVEN, "password": "wrong"})
    answer = stranger.post(page(shared), GIVEN)

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 90
    assert stranger.post(page(shared), GIVEN, headers={"x-forwarded-for": "10.9.8.7"}).status_code == 302


# Tickets


def forged(ticket: Ticket) -> list[str]:
    whole = ticket.text
    payload, _, rest = whole.rpartition(":")
    return [
        "",
        "x",
        ":::",
        whole[:-1],
        whole + "x",
        payload,
        f"{payload}:",
        f"{payload}:{rest[::-1]}",
        whole.swapcase(),
        "é" * 20,
        "\0",
        "." + whole,
        "x" * 100_000,
        signing.dumps({"app": ticket.app}, salt=SALT),
        signing.dumps([1, 2, 3], salt=SALT),
        signing.dumps("x", salt=SALT),
        signing.dumps(None, salt=SALT),
        signing.dumps({"app": ticket.app, "origin": "http://evil.example", "way_back": "/", "browser": ""}),
        signing.dumps({"app": ticket.app, "origin": "http://evil.example", "way_back": "/", "browser": ""}, "k", SALT),
    ]


@pytest.mark.parametrize("number", range(19))
def test_a_ticket_that_is_not_ours_is_stale(shared: WebApp, stranger: Client, number: int) -> None:
    text = forged(Ticket(shared.pk, ORIGIN, "/", digest("x")))[number]

    for answer in (
        stranger.get("/portal/enter", {"ticket": text}),
        stranger.post(f"/portal/enter?ticket={quote(text)}"),
    ):
        assert answer.status_code == 400
        assert "evil" not in answer.content.decode()


def test_a_ticket_ends(shared: WebApp, stranger: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    address, now = page(shared), time.time()
    monkeypatch.setattr("django.core.signing.time.time", lambda: now + TICKET_LASTS + 2)

    assert stranger.get(address).status_code == 400


def test_a_ticket_to_an_application_that_is_gone_is_nothing(shared: WebApp, stranger: Client) -> None:
    address = page(shared)
    shared.enabled = False
    shared.save()

    assert stranger.get(address).status_code == 404


# next=

ELSEWHERE = [
    "http://evil.example/",
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    "\x08//evil.example",
    "http:evil.example",
    "http:///evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "http://testserver@evil.example/",
    "http://testserver:80@evil.example/",
    "http://testserver.evil.example/",
    "http://evil.example\\@testserver/",
    "http://[::1/",
    "http://testserver:8000/",
    "ftp://testserver/",
    "/portal/\r\nLocation: http://evil.example",
    "／／evil.example",
    "\0//evil.example",
    " //evil.example",
]


@pytest.mark.parametrize("to", ELSEWHERE, ids=ascii)
def test_the_portals_own_sign_in_page_leads_to_no_other_site(users: None, stranger: Client, to: str) -> None:
    shown = stranger.get("/portal/login", {"next": to})
    answer = stranger.post("/portal/login", {**GIVEN, "next": to}, query_params={"next": to})

    assert shown.status_code == 200
    assert answer.status_code == 302
    assert urljoin("http://testserver/portal/login", answer["Location"]).startswith("http://testserver/portal/")
    assert answer["Location"].isprintable() and "\\" not in answer["Location"]


def test_many_passwords_at_once_are_said_with_the_name_kept(
    shared: WebApp, stranger: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def verify(self, *_asked: str) -> tuple[bool, bool]:
            raise hashing.Busy(own=False)

    monkeypatch.setattr(hashing, "_beside", Full())

    answer = stranger.post(page(shared), GIVEN)

    assert answer.status_code == 503 and answer["Retry-After"] == "5"
    assert re.search(r'<input[^>]*name="password"[^>]* autofocus>', answer.content.decode())
    assert 'value="ida"' in answer.content.decode()
