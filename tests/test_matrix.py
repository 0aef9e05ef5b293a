"""Every address of the portal, tried by everybody with every method: who may not gets nothing and changes nothing.

The addresses are read from the URL patterns. A page that is not in the table below fails the first test by its name.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client
from django.urls import URLResolver, get_resolver

from webapps.models import Namespace, Options, Resource, WebApp
from webapps.security import SignIn

pytestmark = pytest.mark.django_db

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
#: What an address is: a page that is read, one with a form, or a button. All else is 405, whoever asks.
PAGE, FORM, BUTTON = ("GET", "HEAD"), ("GET", "HEAD", "POST"), ("POST",)
#: Who may open it: anybody, whoever is signed in, or who has a right.
ANYBODY, SIGNED_IN, SEE, EDIT, ADMINISTER = "anybody", "signed in", "see", "edit", "administer"
TABLE = {
    "": (ANYBODY, FORM),
    "portal": (ANYBODY, FORM),
    "portal/": (SEE, PAGE),
    "portal/enter": (ANYBODY, FORM),
    "portal/locks": (ADMINISTER, FORM),
    "portal/log/": (ANYBODY, FORM),
    "portal/log/<str:which>": (SEE, PAGE),
    "portal/log/<str:which>/download": (SEE, PAGE),
    "portal/login": (ANYBODY, FORM),
    "portal/logout": (ANYBODY, BUTTON),
    "portal/namespaces/": (SEE, PAGE),
    "portal/namespaces/<str:name>/delete": (ADMINISTER, FORM),
    "portal/namespaces/<str:name>/edit": (ADMINISTER, FORM),
    "portal/namespaces/new": (ADMINISTER, FORM),
    "portal/options": (ADMINISTER, FORM),
    "portal/password": (SIGNED_IN, FORM),
    "portal/resources/": (ADMINISTER, PAGE),
    "portal/resources/<int:pk>/": (ADMINISTER, FORM),
    "portal/resources/<int:pk>/delete": (ADMINISTER, FORM),
    "portal/resources/new": (ADMINISTER, FORM),
    "portal/roles/": (ADMINISTER, PAGE),
    "portal/roles/<int:pk>/": (ADMINISTER, FORM),
    "portal/roles/<int:pk>/delete": (ADMINISTER, FORM),
    "portal/roles/new": (ADMINISTER, FORM),
    "portal/system": (ADMINISTER, PAGE),
    "portal/users/": (ADMINISTER, PAGE),
    "portal/users/<int:pk>/": (ADMINISTER, FORM),
    "portal/users/<int:pk>/delete": (ADMINISTER, FORM),
    "portal/users/<int:pk>/password": (ADMINISTER, FORM),
    "portal/users/<int:pk>/sign-out": (ADMINISTER, BUTTON),
    "portal/users/new": (ADMINISTER, FORM),
    "portal/webapps/": (ANYBODY, FORM),
    "portal/webapps/<int:pk>/": (SEE, PAGE),
    "portal/webapps/<int:pk>/delete": (EDIT, FORM),
    "portal/webapps/<int:pk>/disable": (EDIT, BUTTON),
    "portal/webapps/<int:pk>/edit": (EDIT, FORM),
    "portal/webapps/<int:pk>/enable": (EDIT, BUTTON),
    "portal/webapps/<int:pk>/install": (ADMINISTER, FORM),
    "portal/webapps/<int:pk>/matching-roles": (EDIT, FORM),
    "portal/webapps/<int:pk>/protocol": (EDIT, BUTTON),
    "portal/webapps/<int:pk>/reload": (EDIT, BUTTON),
    "portal/webapps/<int:pk>/roles": (EDIT, FORM),
    "portal/webapps/new": (EDIT, FORM),
}
PERSONS = {
    "stranger": {ANYBODY},
    "colleague": {ANYBODY, SIGNED_IN},
    "seer": {ANYBODY, SIGNED_IN, SEE},
    "editor": {ANYBODY, SIGNED_IN, SEE, EDIT},
    "administrator": {ANYBODY, SIGNED_IN, SEE, EDIT, ADMINISTER},
}
MODELS = (WebApp, Namespace, Resource, Options, SignIn, User, Group)


def routes(resolver: Any, before: str = "") -> Iterator[str]:
    """Yield the whole route of every pattern, below every include."""
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, route)
        else:
            yield route


def test_every_address_is_in_the_table() -> None:
    found = set(routes(get_resolver()))

    assert not found - TABLE.keys(), "say in TABLE who may open these, and how"
    assert not TABLE.keys() - found, "these are gone"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("who", PERSONS)
def test_everybody_gets_what_he_may_and_changes_nothing_else(
    who: str, method: str, request: pytest.FixtureRequest, addresses: dict[str, str]
) -> None:
    client: Client = request.getfixturevalue(who)
    before = everything()
    for route, address in addresses.items():
        right, methods = TABLE[route]
        status, place, after = answer(client, method, address)
        if method not in methods:
            assert status == 405, (route, status)
        elif right in PERSONS[who]:
            assert status in ((400,) if route == "portal/enter" else (200, 302)), (route, status)
            assert "login" not in place or route in ("portal/logout", "portal/login"), (route, place)
            continue
        elif who == "stranger":
            assert (status, place.partition("=")[0]) == (302, "/portal/login?next"), route
        else:
            assert status == 403, (route, status)
        assert after == before, f"{method} {route} has changed something"


def everything() -> str:
    """Return all rows that somebody could change."""
    return str([list(model.objects.order_by("pk").values_list()) for model in MODELS])


@pytest.fixture
def addresses(webapp: WebApp, stoa_home: Path) -> dict[str, str]:
    """An address for each route, of rows that there are."""
    (stoa_home / "log").mkdir()
    (stoa_home / "log" / "WSGI.log").touch()
    numbers = {
        "portal/webapps/": webapp.pk,
        "portal/users/": User.objects.create(username="pat").pk,
        "portal/roles/": Group.objects.create(name="Clerk").pk,
        "portal/resources/": Resource.objects.create(name="Ledger").pk,
    }
    found = {}
    for route in routes(get_resolver()):
        number = next((number for place, number in numbers.items() if route.startswith(place)), 0)
        values = {"<int:pk>": str(number), "<str:name>": webapp.namespace.name, "<str:which>": "applications"}
        address = route
        for part, value in values.items():
            address = address.replace(part, value)
        assert "<" not in address, f"the test knows no value for {route}"
        found[route] = f"/{address}"
    return found


def answer(client: Client, method: str, address: str) -> tuple[int, str, str]:
    """Ask, and let nothing of it stay; return the status, where it leads, and all rows after it."""
    cookies = copy.deepcopy(client.cookies)
    with transaction.atomic():
        response = client.generic(method, address, content_type="application/x-www-form-urlencoded")
        response.close()
        after = everything()
        transaction.set_rollback(True)
    client.cookies = cookies
    return response.status_code, response.headers.get("Location", ""), after
