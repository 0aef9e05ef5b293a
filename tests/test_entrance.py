"""What the pages say of who may enter: methods in force, nobody, shared origins, resources that are not there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.test_forms import errors, filled
from tests.test_views import text
from webapps.entrance import closed, sharing
from webapps.forms import WebAppForm
from webapps.models import Namespace, Options, Resource, WebApp

pytestmark = pytest.mark.django_db

UNAUTHENTICATED, PASSWORD, LDAP, COOKIE = 64, 32, 2048, 16384
EVERYTHING = UNAUTHENTICATED + PASSWORD + COOKIE


@pytest.mark.parametrize(
    ("bits", "resource", "allowed", "words", "by_system"),
    [
        (PASSWORD, "", EVERYTHING, None, False),
        (UNAUTHENTICATED, "", EVERYTHING, None, False),
        (UNAUTHENTICATED + PASSWORD, "R", EVERYTHING, None, False),
        (0, "", EVERYTHING, "It allows no method of authentication that Stoa has.", False),
        (LDAP, "", EVERYTHING, "that Stoa has (LDAP: not available yet).", False),
        (16, "", EVERYTHING, "It allows no method", False),
        (
            PASSWORD + COOKIE,
            "",
            UNAUTHENTICATED,
            "It allows Password and Login Cookie, and the system allows none",
            True,
        ),
        (UNAUTHENTICATED, "R", EVERYTHING, "It requires a resource, and nobody is asked who he is.", False),
        (UNAUTHENTICATED + PASSWORD, "R", UNAUTHENTICATED, "Password would ask, and the system does not", True),
    ],
)
def test_it_says_why_nobody_may_enter(
    bits: int, resource: str, allowed: int, words: str | None, by_system: bool
) -> None:
    found = closed(WebApp(authe_enabled=bits, resource=resource), allowed)
    assert (found is None) is (words is None)
    if found:
        assert words
        assert words in found.why
        assert found.by_system is by_system


def test_it_leads_to_the_setting_that_shuts_everybody_out(
    administrator: Client, editor: Client, webapp: WebApp
) -> None:
    WebApp.objects.update(authe_enabled=PASSWORD)
    address = reverse("webapps:detail", args=[webapp.pk])
    assert "Nobody may enter" not in text(administrator.get(address))
    Options(allow_password=False).save()
    page = text(administrator.get(address))
    assert "Nobody may enter" in page
    assert f'href="{reverse("webapps:edit", args=[webapp.pk])}#security"' in page
    assert page.count(f'href="{reverse("portal:options")}"') == 1
    page = text(editor.get(address))
    assert "ask an administrator to change the system’s" in page
    assert reverse("portal:options") not in page


def test_it_strikes_out_what_is_off_for_the_system(administrator: Client, webapp: WebApp) -> None:
    WebApp.objects.update(authe_enabled=PASSWORD + COOKIE + LDAP)
    Options(allow_password=False).save()
    page = text(administrator.get("/portal/"))
    assert '<s title="Off for the system">Password</s>' in page
    assert '<s title="Not available yet">LDAP</s>' in page
    assert '<span class="chip">Login Cookie</span>' in page
    assert "Nobody may enter" not in page
    Options(allow_password=False, allow_login_cookie=False).save()
    assert "Nobody may enter" in text(administrator.get("/portal/"))


def test_it_shows_at_the_boxes_what_does_not_count(administrator: Client, webapp: WebApp) -> None:
    WebApp.objects.update(authe_enabled=PASSWORD + LDAP)
    Options(allow_password=False).save()
    page = text(administrator.get(reverse("webapps:edit", args=[webapp.pk])))
    assert "Password (off for the system)" in page
    assert "Kerberos (not available yet)" in page
    boxes = dict(re.findall(r'<input type="checkbox"[^>]*name="authe_enabled" value="(\d+)"([^>]*)>', page))
    assert "checked" in boxes["2048"]
    assert "disabled" not in boxes["2048"]
    assert "disabled" in boxes["4"]
    assert "disabled" not in boxes["32"]


def test_it_keeps_what_is_set_and_not_available(webapp: WebApp) -> None:
    data = filled(webapp.namespace, directory=webapp.directory, authe_enabled=["32", "2048"])
    form = WebAppForm(data, instance=webapp)
    assert form.is_valid(), form.errors
    assert form.save().authe_enabled == PASSWORD + LDAP


# One origin for many applications


@pytest.mark.parametrize(
    ("mine", "host", "his", "other", "shared"),
    [
        (PASSWORD, "", UNAUTHENTICATED, "", True),
        (PASSWORD, "a.example", UNAUTHENTICATED, "A.example", True),
        (PASSWORD, "a.example", UNAUTHENTICATED, "", True),
        (UNAUTHENTICATED, "", PASSWORD, "a.example", True),
        (PASSWORD, "a.example", UNAUTHENTICATED, "b.example", False),
        (PASSWORD, "", PASSWORD, "", False),
        (UNAUTHENTICATED, "", UNAUTHENTICATED, "", False),
    ],
)
def test_it_knows_who_shares_an_origin(
    namespace: Namespace, mine: int, host: str, his: int, other: str, shared: bool
) -> None:
    webapp = WebApp.objects.create(name="/mine", namespace=namespace, authe_enabled=mine, host=host)
    WebApp.objects.create(name="/his", namespace=namespace, authe_enabled=his, host=other)
    assert bool(sharing(webapp, EVERYTHING)) is shared


def test_it_says_that_an_origin_is_shared(administrator: Client, webapp: WebApp) -> None:
    closed_one = WebApp.objects.create(name="/closed", namespace=webapp.namespace, authe_enabled=PASSWORD)
    for row, words in ((closed_one, "ones that are open to all: /csp/notes"), (webapp, "protected ones: /closed")):
        for name in ("detail", "edit"):
            page = text(administrator.get(reverse(f"webapps:{name}", args=[row.pk])))
            assert words in page
            assert "Host gives an application an origin of its own" in page
    assert "open to all: /csp/notes" in text(administrator.get(reverse("webapps:create")))
    webapp.enabled = False
    webapp.save()
    assert "shares its origin" not in text(administrator.get(reverse("webapps:detail", args=[closed_one.pk])))


# Resources and origins


def test_it_offers_the_resources_that_there_are_and_accepts_others(administrator: Client, webapp: WebApp) -> None:
    Resource.objects.create(name="Ledger")
    page = text(administrator.get(reverse("webapps:edit", args=[webapp.pk])))
    assert 'list="known-resources"' in page
    assert '<option value="Ledger">' in page
    data = filled(webapp.namespace, directory=webapp.directory, resource="Journal")
    address = administrator.post(reverse("webapps:edit", args=[webapp.pk]), data.dict())["Location"]
    assert "There is no resource Journal" in text(administrator.get(address))


def test_it_refuses_every_origin_together_with_credentials(namespace: Namespace, directory: Path) -> None:
    every: dict[str, Any] = {"cors_allowlist": "https://a.example, *"}
    found = errors(WebAppForm(filled(namespace, cors_credentials="on", **every)))
    assert "“*” together with Allow credentials" in found["cors_allowlist"]
    assert WebAppForm(filled(namespace, **every)).is_valid()
