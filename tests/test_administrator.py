"""`manage.py administrator`: the way back in when the password is lost."""

from __future__ import annotations

import io
import re

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client

from portal.locks import locks
from tests.test_locks import fail
from tests.test_people import in_session, person
from webapps.models import Options, SignIn

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STOA_ADMIN_USER", "STOA_ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def command(*arguments: str) -> str:
    out = io.StringIO()
    call_command("administrator", *arguments, stdout=out)
    return out.getvalue()


def password_in(words: str) -> str:
    found = re.search(r"The password is (\S+) \(shown this once\)", words)
    assert found
    return found[1]


def test_it_makes_an_administrator_with_a_password_that_is_printed_once() -> None:
    words = command()
    assert "admin is a new administrator" in words
    client = Client()
    assert client.post("/portal/login", {"username": "admin", "password": password_in(words)}).status_code == 302
    assert client.get("/portal/system").status_code == 200
    assert User.objects.get().groups.get().name == "%ALL"


def test_it_brings_an_administrator_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_ADMIN_PASSWORD", "battery staple")
    pat = person("Pat", is_active=False)
    pat.is_active = True
    pat.save()
    browser, sign_in = in_session("Pat"), SignIn.objects.create(user=pat)
    User.objects.filter(pk=pat.pk).update(is_active=False)
    Options(invalid_login_limit=1).save()
    fail("Pat", "10.0.0.1", 1)
    assert locks()
    words = command("pat")
    assert words == "Pat is an administrator with a new password now.\n"
    pat.refresh_from_db()
    assert (pat.is_active, pat.is_superuser) == (True, True)
    assert pat.check_password("battery staple")
    assert browser.get("/portal/").status_code == 302
    sign_in.refresh_from_db()
    assert sign_in.ended
    assert not locks()


def test_it_makes_the_role_where_it_is_gone() -> None:
    Group.objects.all().delete()
    command("pat")
    pat = User.objects.get()
    assert pat.is_superuser
    assert pat.groups.get().name == "%ALL"


@pytest.mark.parametrize(("name", "words"), [("a:b", "valid username"), ("unknownuser", "stands for whoever")])
def test_it_refuses_what_is_no_name(name: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        command(name)
    assert not User.objects.exists()
