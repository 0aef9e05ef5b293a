"""The page of one's own password, for everybody who is signed in."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.test_people import in_session, person
from tests.test_views import said, text
from webapps.models import SignIn

pytestmark = pytest.mark.django_db

NEW = {"old": "correct horse", "new": "battery staple", "again": "battery staple"}


def test_it_changes_the_own_password_and_ends_what_else_is_signed_in() -> None:
    pat = person()
    here, elsewhere = in_session("pat"), in_session("pat")
    other = in_session(person("other").username)
    mine = SignIn.objects.create(user=pat, session_key=here.session.session_key or "")
    old = SignIn.objects.create(user=pat, session_key=elsewhere.session.session_key or "")
    his = SignIn.objects.create(user=User.objects.get(username="other"))
    address = reverse("portal:password")
    assert reverse("portal:password") in here.get("/portal/").content.decode()
    assert "Your password is changed" in said(here.post(address, NEW))
    assert User.objects.get(username="pat").check_password("battery staple")
    assert here.get(address).status_code == 200
    assert elsewhere.get(address).status_code == 302
    assert other.get(address).status_code == 200
    for row in (mine, old, his):
        row.refresh_from_db()
    assert (mine.ended, his.ended) == (None, None)
    assert mine.session_key == here.session.session_key
    assert old.ended


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"old": "wrong"}, "This is not your password"),
        ({"old": ""}, "required"),
        ({"again": "battery stable"}, "The two new passwords differ"),
        ({"new": "1a2b", "again": "1a2b"}, "too short"),
        ({"new": "password", "again": "password"}, "too common"),
        ({"new": "patpatpat", "again": "patpatpat"}, "too similar"),
    ],
)
def test_it_refuses_in_words(changes: dict[str, str], words: str) -> None:
    person("patpatpat")
    page = text(in_session("patpatpat").post(reverse("portal:password"), NEW | changes))
    assert words in page
    for typed in (NEW | changes).values():
        assert f'value="{typed}"' not in page or typed == "patpatpat"
    assert User.objects.get(username="patpatpat").check_password("correct horse")


def test_it_asks_a_stranger_to_sign_in(stranger: Client) -> None:
    assert stranger.get(reverse("portal:password"))["Location"].startswith("/portal/login?next=")
