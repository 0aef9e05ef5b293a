"""Authentication/Web Session Options: the page, and what it warns of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.test_views import said, text
from webapps.models import Change, Namespace, Options, WebApp
from webapps.runtime.serving import Serving

pytestmark = pytest.mark.django_db

ADDRESS = "/portal/options"
FILLED = {
    "allow_unauthenticated": "on",
    "allow_password": "on",
    "allow_login_cookie": "on",
    "login_cookie_expires": "28800",
    "session_timeout": "900",
    "invalid_login_limit": "5",
    "lock_seconds": "300",
}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in FILLED.items() if name not in names}


def serve(home: Path, host: str) -> None:
    """Leave what ``serve`` leaves."""
    addresses: dict[str, Any] = {"apps_address": (host, 8000), "portal_address": ("127.0.0.1", 8080)}
    serving = Serving(home=str(home), static_dir="", python="", nginx="", user="", **addresses)
    serving.run_dir.mkdir(parents=True, exist_ok=True)
    serving.write()


def test_it_saves_what_holds_for_the_whole_system(administrator: Client) -> None:
    before = Change.counters()
    response = administrator.post(ADDRESS, without("allow_password") | {"session_timeout": "1800"})
    assert "takes effect within five seconds" in said(response)
    options = Options.current()
    assert (options.allow_password, options.allow_unauthenticated, options.session_timeout) == (False, True, 1800)
    assert all(now > then for now, then in zip(Change.counters(), before, strict=True))
    assert Options.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("session_timeout", "59", "greater than or equal to 60"),
        ("session_timeout", "", "required"),
        ("login_cookie_expires", "604801", "less than or equal to 604800"),
        ("invalid_login_limit", "0", "greater than or equal to 1"),
        ("lock_seconds", "x", "whole number"),
    ],
)
def test_it_refuses_in_words(administrator: Client, field: str, value: str, words: str) -> None:
    page = text(administrator.post(ADDRESS, FILLED | {field: value}))
    assert words in page
    assert not Options.objects.exists()


def test_it_shows_what_is_not_available_yet(administrator: Client) -> None:
    page = text(administrator.get(ADDRESS))
    for name in ("Delegated", "Kerberos", "LDAP", "OAuth2", "two-factor TOTP"):
        assert f"Allow {name} authentication" in page
    assert page.count("Not available yet.") == 5
    assert len(re.findall(r'<input type="checkbox"[^>]*disabled', page)) == 5
    administrator.post(ADDRESS, FILLED | {"allow_ldap": "on"})
    assert Options.current().methods == 64 + 32 + 16384


@pytest.mark.parametrize(("host", "allowed", "warned"), [("0.0.0.0", True, True), ("0.0.0.0", False, False)])  # noqa: S104
def test_it_warns_where_stoa_listens_beyond_this_machine(
    administrator: Client, stoa_home: Path, host: str, allowed: bool, warned: bool
) -> None:
    words = "Unauthenticated access is allowed and Stoa listens beyond this machine"
    Options(allow_unauthenticated=allowed).save()
    assert words not in text(administrator.get(ADDRESS))
    serve(stoa_home, "127.0.0.1")
    assert words not in text(administrator.get(ADDRESS))
    serve(stoa_home, host)
    assert (words in text(administrator.get(ADDRESS))) is warned


def test_it_counts_whom_a_method_that_is_off_shuts_out(
    administrator: Client, namespace: Namespace, django_assert_max_num_queries: Any
) -> None:
    for number, (bits, resource, enabled) in enumerate(
        [(32, "", True), (32 + 64, "", True), (32 + 64, "R", True), (16384, "", True), (32, "", False)]
    ):
        WebApp.objects.create(
            name=f"/a/{number}", namespace=namespace, authe_enabled=bits, resource=resource, enabled=enabled
        )
    page = text(administrator.get(ADDRESS))
    assert "nobody can enter 2 applications that can be entered now" in page
    assert "nobody can enter 1 application that can be entered now" in page
    assert "because no method is in force" not in page
    administrator.post(ADDRESS, without("allow_password"))
    with django_assert_max_num_queries(10):
        page = text(administrator.get(ADDRESS))
    assert "Nobody can enter 2 applications" in page
    assert "/a/0, /a/2" in page
    assert "that can be entered now" in page


def test_it_is_reached_from_the_page_of_the_system(administrator: Client) -> None:
    assert f'href="{reverse("portal:options")}"' in text(administrator.get("/portal/system"))
