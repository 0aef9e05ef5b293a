"""The pages of users: create, edit, disable, reset a password, sign out, delete; there is always an administrator."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from portal import administrators
from tests.test_views import said, text
from webapps.models import SignIn

pytestmark = pytest.mark.django_db

ALL = "%ALL"


def role(name: str) -> Group:
    return Group.objects.get(name=name)


def person(name: str = "pat", *roles: str, **fields: Any) -> User:
    made = User.objects.create_user(name, password="correct horse", **fields)
    made.groups.set([role(name) for name in roles])
    made.refresh_from_db()
    return made


def filled(*roles: str, **changes: Any) -> dict[str, Any]:
    """Return what a browser sends for an active user."""
    groups = [role(name).pk for name in roles]
    return {"username": "pat", "full_name": "", "email": "", "is_active": "on", "groups": groups, **changes}


def in_session(name: str) -> Client:
    """Return a browser in which somebody has signed in."""
    client = Client()
    client.force_login(User.objects.get(username=name))
    return client


def test_it_creates_a_user_with_a_password_that_is_shown_once(administrator: Client) -> None:
    data = filled("%Operator", full_name="Pat Doe", email="pat@example.com")
    page = text(administrator.post(reverse("portal:person_create"), data))
    made = re.search(r'class="made"><code>([^<]+)', page)
    assert made
    pat = User.objects.get(username="pat")
    assert (pat.get_full_name(), pat.email, pat.is_active) == ("Pat Doe", "pat@example.com", True)
    assert [group.name for group in pat.groups.all()] == ["%Operator"]
    assert pat.check_password(made[1])
    assert made[1] not in text(administrator.get(reverse("portal:person", args=[pat.pk])))
    assert made[1] not in text(administrator.get(reverse("portal:people")))


def test_it_creates_a_user_with_a_password_that_is_typed(administrator: Client) -> None:
    address = reverse("portal:person_create")
    page = text(administrator.post(address, filled(password="12345")))
    assert "too short" in page
    assert "12345" not in page
    assert not User.objects.filter(username="pat").exists()
    response = administrator.post(address, filled(password="battery staple"))
    assert response["Location"] == reverse("portal:people")
    assert User.objects.get(username="pat").check_password("battery staple")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ADA", "There is a user ADA already"),
        ("ÄDA", "There is a user ÄDA already"),
        ("unknownuser", "stands for whoever has not signed in"),
        ("a:b", "valid username"),
        ("", "required"),
        ("x" * 151, "at most 150"),
        ("a\nb", "valid username"),
    ],
)
def test_it_refuses_a_name_in_words(administrator: Client, name: str, words: str) -> None:
    person("äda")
    page = text(administrator.post(reverse("portal:person_create"), filled(username=name)))
    assert words in page
    assert User.objects.count() == 2


def test_it_makes_an_administrator_of_who_gets_all(administrator: Client) -> None:
    pat = person()
    administrator.post(reverse("portal:person", args=[pat.pk]), filled(ALL))
    pat.refresh_from_db()
    assert pat.is_superuser
    administrator.post(reverse("portal:person", args=[pat.pk]), filled())
    pat.refresh_from_db()
    assert not pat.is_superuser


def test_it_keeps_the_last_administrator_and_oneself(administrator: Client) -> None:
    ada = User.objects.get(username="ada")
    address = reverse("portal:person", args=[ada.pk])
    for data in (filled(username="ada"), filled(ALL, username="ada", is_active="")):
        page = text(administrator.post(address, data))
        assert "ada is the last active administrator. Make another one first." in page
    person("pat", ALL)
    for data in (filled(username="ada"), filled(ALL, username="ada", is_active="")):
        assert "This is you. Another administrator can do it" in text(administrator.post(address, data))
    delete = reverse("portal:person_delete", args=[ada.pk])
    assert "cannot be deleted" in text(administrator.get(delete))
    assert "This is you" in said(administrator.post(delete))
    ada.refresh_from_db()
    assert ada.is_superuser
    assert ada.is_active


def test_it_demotes_another_administrator(administrator: Client) -> None:
    pat = person("pat", ALL)
    administrator.post(reverse("portal:person", args=[pat.pk]), filled())
    pat.refresh_from_db()
    assert not pat.is_superuser
    inactive = person("ina", ALL, is_active=False)
    administrator.post(reverse("portal:person_delete", args=[inactive.pk]))
    assert not User.objects.filter(username="ina").exists()


def test_it_leaves_one_of_two_that_demote_each_other(administrator: Client) -> None:
    ada, pat = User.objects.get(username="ada"), person("pat", ALL)
    with administrators.changing(pat):
        ada.groups.clear()
    with pytest.raises(PermissionDenied, match="no administrator any more"), administrators.changing(ada):
        pat.groups.clear()


def test_it_signs_out_whoever_is_disabled(administrator: Client) -> None:
    pat = person("pat", "%Operator")
    browser = in_session("pat")
    sign_in = SignIn.objects.create(user=pat)
    assert browser.get("/portal/").status_code == 200
    administrator.post(reverse("portal:person", args=[pat.pk]), filled("%Operator", is_active=""))
    assert browser.get("/portal/").status_code == 302
    sign_in.refresh_from_db()
    assert sign_in.ended
    pat.is_active = True
    pat.save()
    assert browser.get("/portal/").status_code == 302


def test_it_resets_a_password_and_ends_what_it_opened(administrator: Client) -> None:
    pat = person("pat", "%Operator")
    browser, sign_in = in_session("pat"), SignIn.objects.create(user=pat)
    address = reverse("portal:person_password", args=[pat.pk])
    assert "shown once" in text(administrator.get(address))
    assert "too short" in text(administrator.post(address, {"password": "1a2b"}))
    made = re.search(r'class="made"><code>([^<]+)', text(administrator.post(address, {"password": ""})))
    pat.refresh_from_db()
    assert made
    assert pat.check_password(made[1])
    assert "is reset" in said(administrator.post(address, {"password": "battery staple"}))
    pat.refresh_from_db()
    assert pat.check_password("battery staple")
    assert browser.get("/portal/").status_code == 302
    sign_in.refresh_from_db()
    assert sign_in.ended


def test_it_asks_for_the_old_password_of_oneself(administrator: Client) -> None:
    address = reverse("portal:person_password", args=[User.objects.get(username="ada").pk])
    assert administrator.post(address, {"password": "battery staple"})["Location"] == reverse("portal:password")
    assert not User.objects.get(username="ada").check_password("battery staple")


def test_it_signs_somebody_out_everywhere_and_nobody_else(administrator: Client) -> None:
    pat, other = person("pat", "%Operator"), person("other", "%Operator")
    browser, neighbour = in_session("pat"), in_session("other")
    mine, his = SignIn.objects.create(user=pat), SignIn.objects.create(user=other)
    assert "1 sign-in to applications" in text(administrator.get(reverse("portal:person", args=[pat.pk])))
    response = administrator.post(reverse("portal:person_sign_out", args=[pat.pk]))
    assert "is signed out everywhere" in said(response)
    assert browser.get("/portal/").status_code == 302
    assert neighbour.get("/portal/").status_code == 200
    mine.refresh_from_db()
    his.refresh_from_db()
    assert mine.ended
    assert his.ended is None


def test_it_signs_oneself_out_everywhere_too(administrator: Client) -> None:
    ada = User.objects.get(username="ada")
    response = administrator.post(reverse("portal:person_sign_out", args=[ada.pk]))
    assert response["Location"] == reverse("portal:login")
    assert administrator.get("/portal/").status_code == 302


def test_it_asks_before_it_deletes(administrator: Client) -> None:
    pat = person()
    address = reverse("portal:person_delete", args=[pat.pk])
    assert "Delete the user pat?" in text(administrator.get(address))
    assert User.objects.filter(username="pat").exists()
    administrator.post(address)
    assert not User.objects.filter(username="pat").exists()
    assert administrator.get(address).status_code == 404


def test_it_lists_many_users_with_few_queries(administrator: Client, django_assert_max_num_queries: Any) -> None:
    User.objects.bulk_create(
        [User(username=f"many-{number:03}", email=f"{number}@example.com") for number in range(150)]
    )
    role("%Operator").user_set.set(User.objects.filter(username__startswith="many"))
    with django_assert_max_num_queries(8):
        page = text(administrator.get(reverse("portal:people")))
    assert "151 users" in page
    assert "Page 1 of 2" in page
    assert "%Operator" in page
    assert "1 user with" in text(administrator.get(reverse("portal:people"), {"q": "many 149@ operator"}))
    assert "Nobody matches" in text(administrator.get(reverse("portal:people"), {"q": "<zzz>"}))


def test_it_escapes_what_people_are_called(administrator: Client) -> None:
    pat = person("pat", first_name="<script>alert(1)</script>")
    for name, args in (("people", []), ("person", [pat.pk]), ("person_delete", [pat.pk]), ("roles", [])):
        assert "<script>alert" not in text(administrator.get(reverse(f"portal:{name}", args=args)))
    assert "<script>alert" not in text(administrator.get(reverse("portal:role", args=[role(ALL).pk])))
