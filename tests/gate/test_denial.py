"""What somebody gets who may not enter: the way to the sign-in page, a challenge, or a page that says why."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.contrib.auth.models import User

from portal.gate import snapshot, tokens
from portal.gate.denial import Denials
from portal.gate.entry import Ticket, digest
from portal.gate.gatekeeper import Gatekeeper, new_token
from portal.gate.origins import Origins
from portal.gate.pages import Answer
from portal.gate.passwords import Passwords
from portal.gate.watch import Watch
from webapps.models import Change, SignIn, WebApp

BROWSER = {"HTTP_ACCEPT": "text/html", "HTTP_STOA_METHOD": "GET", "HTTP_STOA_HOST": "apps.example"}
PASSWORD, LDAP, LOGIN_COOKIE = 32, 2048, 16384


@pytest.fixture
def watch(db: None) -> Watch:
    return Watch(Change.counters, lambda: snapshot.read(tokens.Signer("secret").key))


@pytest.fixture
def denials(watch: Watch, monkeypatch: Any) -> Denials:
    monkeypatch.setattr(watch, "look_now", lambda _patience=0.0: watch.look())
    keeper = Gatekeeper(tokens.Signer("secret"), watch, Passwords())
    return Denials(keeper, Origins("http://apps.example", "http://portal.example", frozenset({"other.example"})))


def ask(denials: Denials, webapp: WebApp, why: str, **environ: str) -> Answer:
    denials.keeper.watch.look()
    return denials.answer({"HTTP_STOA_APP": str(webapp.pk), "HTTP_STOA_WHY": why, **environ})


def allow(webapp: WebApp, methods: int) -> None:
    webapp.authe_enabled = methods
    webapp.save()


def header(answer: Answer, name: str) -> str:
    return next((value for key, value in answer.headers if key == name), "")


def test_a_browser_is_sent_to_the_portal_with_a_ticket_back(denials: Denials, webapp: WebApp) -> None:
    allow(webapp, PASSWORD)

    answer = ask(denials, webapp, "sign-in", **BROWSER, HTTP_STOA_URI="/csp/notes/a?b=%2F")

    assert answer.status == 302
    address, _, text = header(answer, "Location").partition("?ticket=")
    assert address == "http://portal.example/portal/enter"
    ticket = Ticket.read(text)
    assert (ticket.app, ticket.origin, ticket.way_back) == (webapp.pk, "http://apps.example", "/csp/notes/a?b=%2F")
    name, _, rest = header(answer, "Set-Cookie").partition("=")
    assert digest(rest.partition(";")[0]) == ticket.browser
    assert name == tokens.cookie_of_nonce(ticket.browser)


@pytest.mark.parametrize(
    ("asked", "origin"),
    [("evil.example", "http://apps.example"), ("other.example", ""), ("", "http://apps.example")],
)
def test_somebody_who_comes_by_an_unknown_host_is_sent_to_a_known_one_first(
    denials: Denials, webapp: WebApp, asked: str, origin: str
) -> None:
    allow(webapp, PASSWORD)

    answer = ask(denials, webapp, "sign-in", **{**BROWSER, "HTTP_STOA_HOST": asked}, HTTP_STOA_URI="/csp/notes/")

    location = header(answer, "Location")
    assert location == f"{origin}/csp/notes/" if origin else "/portal/enter?" in location
    assert "evil" not in location


@pytest.mark.parametrize(
    ("methods", "environ", "challenged"),
    [
        (PASSWORD, {}, True),
        (PASSWORD, {"HTTP_SEC_FETCH_MODE": "cors"}, False),
        (LOGIN_COOKIE, {}, False),
        (PASSWORD, {**BROWSER, "HTTP_STOA_METHOD": "POST"}, True),
    ],
)
def test_other_clients_get_401_and_a_challenge_where_it_helps(
    denials: Denials, webapp: WebApp, methods: int, environ: dict[str, str], challenged: bool
) -> None:
    allow(webapp, methods)

    answer = ask(denials, webapp, "sign-in", **environ)

    assert answer.status == 401
    assert bool(header(answer, "WWW-Authenticate")) is challenged


def test_a_lock_says_how_long(denials: Denials, webapp: WebApp) -> None:
    answer = ask(denials, webapp, "locked 61")

    assert (answer.status, header(answer, "Retry-After")) == (429, "61")
    assert b"2 more minutes" in answer.body


def test_nothing_left_tells_an_administrator_which_setting_to_change(denials: Denials, webapp: WebApp) -> None:
    allow(webapp, LDAP)
    boss = User.objects.create_superuser("boss")
    denials.keeper.watch.look()
    found = denials.keeper.watch.fresh
    assert found
    person, now = found.people[boss.pk], time.time()
    key = SignIn.objects.create(user=boss).key
    token = new_token(person, key, tokens.How.LOGIN_COOKIE, int(now), now, 900)
    cookie = f"stoa_login={denials.keeper.signer.sign(token, tokens.LOGIN)}"

    stranger = ask(denials, webapp, "no-method")
    administrator = ask(denials, webapp, "no-method", HTTP_COOKIE=cookie)

    assert stranger.status == administrator.status == 403
    assert b"LDAP" not in stranger.body
    assert b"Allowed Authentication Methods are: LDAP" in administrator.body


@pytest.mark.parametrize("why", ["busy", "lost"])
def test_an_application_that_has_just_gone_is_not_found(denials: Denials, webapp: WebApp, why: str) -> None:
    gone = webapp.pk
    webapp.delete()
    denials.keeper.watch.look()

    answer = denials.answer({"HTTP_STOA_APP": str(gone), "HTTP_STOA_WHY": why})

    assert answer.status == 404
    assert b"There is no application at this address" in answer.body


def test_an_application_that_breaks_off_is_said_so(denials: Denials, webapp: WebApp) -> None:
    answer = ask(denials, webapp, "lost")

    assert (answer.status, header(answer, "Retry-After")) == (502, "5")


def test_a_database_that_is_not_confirmed_is_said(denials: Denials, webapp: WebApp, monkeypatch: Any) -> None:
    monkeypatch.setattr(denials.keeper.watch, "clock", lambda: float("inf"))

    answer = denials.answer({"HTTP_STOA_APP": str(webapp.pk), "HTTP_STOA_WHY": "busy"})

    assert (answer.status, header(answer, "Retry-After")) == (503, "2")


def test_every_page_is_closed_to_frames_and_scripts_and_can_be_json(denials: Denials, webapp: WebApp) -> None:
    allow(webapp, PASSWORD)

    for why in ("sign-in", "wrong", "locked 5", "busy", "no-method", "no-right"):
        page = ask(denials, webapp, why, HTTP_ACCEPT="application/json")
        assert header(page, "Content-Type") == "application/json"
        assert "frame-ancestors 'none'" in header(page, "Content-Security-Policy")
        assert header(page, "Cache-Control") == "no-store"
