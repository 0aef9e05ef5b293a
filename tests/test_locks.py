"""Locked pairs of account and address: the page, and `manage.py locks`."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from portal.locks import locks
from tests.test_views import said, text
from webapps.models import Options

pytestmark = pytest.mark.django_db


def fail(username: str, address: str, times: int = 2) -> Any:
    """Try wrong passwords; return the last answer."""
    for _ in range(times):
        data = {"username": username, "password": "wrong"}
        answer = Client().post("/portal/login", data, headers={"x-forwarded-for": address})
    return answer


@pytest.fixture
def locked(administrator: Client) -> None:
    """Three pairs that are locked, and one that is not."""
    Options(invalid_login_limit=2).save()
    User.objects.create_user("pat", password="correct horse")
    for username, address in (("pat", "10.0.0.1"), ("pat", "10.0.0.2"), ("<b>nobody", "10.0.0.1")):
        assert fail(username, address).status_code == 429
    assert fail("pat", "10.0.0.3", 1).status_code == 200


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("locks", *arguments, stdout=out)
    return out.getvalue()


def pairs() -> list[tuple[str, str]]:
    return [(lock.username, lock.address) for lock in locks()]


def test_it_says_that_nothing_is_locked(administrator: Client) -> None:
    assert "Nothing is locked" in text(administrator.get(reverse("portal:locks")))
    assert "Nothing was locked" in said(administrator.post(reverse("portal:locks")))
    assert command() == "Nothing is locked.\n"


def test_it_lists_what_is_locked_and_clears_a_pair(administrator: Client, locked: None) -> None:
    page = text(administrator.get(reverse("portal:locks")))
    assert "&lt;b&gt;nobody" in page
    assert page.count("10.0.0.1</code>") == 2
    assert "10.0.0.3" not in page
    pair = {"username": "pat", "address": "10.0.0.1"}
    assert "Cleared" in said(administrator.post(reverse("portal:locks"), pair))
    assert pairs() == [("<b>nobody", "10.0.0.1"), ("pat", "10.0.0.2")]
    data = {"username": "pat", "password": "correct horse"}
    assert Client().post("/portal/login", data, headers={"x-forwarded-for": "10.0.0.1"}).status_code == 302
    assert Client().post("/portal/login", data, headers={"x-forwarded-for": "10.0.0.2"}).status_code == 429


def test_it_clears_all(administrator: Client, locked: None) -> None:
    administrator.post(reverse("portal:locks"))
    assert pairs() == []


def test_it_lists_and_clears_from_the_command_line(locked: None) -> None:
    listed = command()
    assert listed.count("10.0.0.") == 3
    assert "Locked until" in listed
    assert command("--user", "pat").count("10.0.0.") == 2
    assert command("--address", "10.0.0.9") == "Nothing is locked.\n"
    assert command("--clear", "--user", "pat", "--address", "10.0.0.1") == "Cleared 1 lock.\n"
    assert command("--clear", "--user", "pat") == "Cleared 1 lock.\n"
    assert pairs() == [("<b>nobody", "10.0.0.1")]
    assert command("--clear") == "Cleared 1 lock.\n"


def test_it_locks_as_the_options_say(administrator: Client) -> None:
    Options(invalid_login_limit=3).save()
    assert fail("pat", "10.0.0.1", 2).status_code == 200
    assert fail("pat", "10.0.0.1", 1).status_code == 429
    assert "After 3 wrong passwords" in text(administrator.get(reverse("portal:locks")))


@pytest.mark.parametrize("who", ["colleague", "editor"])
def test_it_lets_nobody_else_clear(who: str, request: pytest.FixtureRequest, locked: None) -> None:
    client = request.getfixturevalue(who)
    assert client.post(reverse("portal:locks")).status_code == 403
    assert len(pairs()) == 3
