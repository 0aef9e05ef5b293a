"""Tickets and codes: good once, for one application, in the browser that asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from portal.gate.entry import NotAdmitted, Ticket, digest, exchange, issue, new_nonce
from portal.gate.tokens import cookie_of_nonce
from webapps.models import EntryCode, SignIn, WebApp

NONCE = "a-nonce"


def cookies(nonce: str = NONCE, name: str = "") -> str:
    return f"x=y; {name or cookie_of_nonce(digest(nonce))}={nonce}; z"


@pytest.fixture
def sign_in(db: None) -> SignIn:
    return SignIn.objects.create(user=User.objects.create(username="ida"))


@pytest.fixture
def code(webapp: WebApp, sign_in: SignIn) -> str:
    address = issue(Ticket(webapp.pk, "http://apps.example", "/csp/notes/x", digest(NONCE)), sign_in, "p")
    return address.partition("code=")[2]


def test_a_code_stands_for_who_asked(code: str, webapp: WebApp, sign_in: SignIn) -> None:
    admitted = exchange(code, cookies())

    assert (admitted.sign_in, admitted.webapp, admitted.how) == (sign_in, webapp, "p")
    assert (admitted.way_back, admitted.browser) == ("/csp/notes/x", digest(NONCE))


def test_a_code_is_good_once(code: str) -> None:
    exchange(code, cookies())

    with pytest.raises(NotAdmitted):
        exchange(code, cookies())


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x=y",
        cookies("another-nonce"),
        # The right name with another nonce, the right nonce under another name, and twice.
        cookies("another-nonce", cookie_of_nonce(digest(NONCE))),
        cookies(NONCE, "stoa_enter_"),
        cookies() + "; " + cookies(),
        cookies(""),
    ],
)
def test_a_code_that_another_browser_brings_is_refused_and_spent(code: str, header: str) -> None:
    with pytest.raises(NotAdmitted):
        exchange(code, header)
    with pytest.raises(NotAdmitted):
        exchange(code, cookies())


@pytest.mark.parametrize("code", ["", "x", "é", "\0", "x" * 10_000, "../x", "'; --"])
def test_what_is_no_code_is_refused(db: None, code: str) -> None:
    with pytest.raises(NotAdmitted):
        exchange(code, cookies())


def test_a_code_ends_after_a_minute(code: str) -> None:
    EntryCode.objects.update(expires=timezone.now() - timedelta(seconds=1))

    with pytest.raises(NotAdmitted):
        exchange(code, cookies())


def test_a_code_ends_with_its_sign_in(code: str, sign_in: SignIn) -> None:
    SignIn.objects.filter(pk=sign_in.pk).update(ended=timezone.now())

    with pytest.raises(NotAdmitted):
        exchange(code, cookies())


def test_a_code_ends_with_its_user(code: str) -> None:
    User.objects.update(is_active=False)

    with pytest.raises(NotAdmitted):
        exchange(code, cookies())


def test_neither_code_nor_nonce_stands_in_the_database(code: str) -> None:
    row = str(EntryCode.objects.values_list().get())

    assert code not in row
    assert NONCE not in row


def test_a_ticket_is_read_as_it_was_written() -> None:
    ticket = Ticket(7, "https://apps.example", "/x?a=%2F", digest(new_nonce()))

    assert Ticket.read(ticket.text) == ticket


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: "x" + text, lambda text: "", str.swapcase])
def test_a_ticket_that_was_changed_is_none(change: Any) -> None:
    with pytest.raises(NotAdmitted):
        Ticket.read(change(Ticket(7, "https://apps.example", "/x", "d").text))
