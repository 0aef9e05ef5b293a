"""Who may see, edit and administer: every page and button, tried by everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from webapps.models import Namespace, Resource, WebApp

pytestmark = pytest.mark.django_db

#: Who may open each page: nothing here means administrators.
SEE = {"list", "detail", "namespaces", "log", "log_download"}
EDIT = {"create", "edit", "delete", "enable", "disable", "reload", "protocol", "roles", "matching_roles"}
ANYBODY = {"portal:password", "portal:logout"}
STRANGERS = {"portal:login", "portal:enter", "portal:logout"}
POSTED = {"enable", "disable", "reload", "protocol", "person_sign_out"}


def patterns(resolver: Any, prefix: str = "") -> list[tuple[str, URLPattern]]:
    """List what urls.py names, below every include."""
    found = []
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            found += patterns(pattern, f"{pattern.namespace}:" if pattern.namespace else prefix)
        elif pattern.name:
            found.append((prefix + pattern.name, pattern))
    return found


@pytest.fixture
def everything(webapp: WebApp, stoa_home: Path) -> dict[str, str]:
    """The address of every page and button by its name."""
    (stoa_home / "log").mkdir()
    (stoa_home / "log" / "WSGI.log").touch()
    rows = {
        "webapps": webapp.pk,
        "person": User.objects.create(username="pat").pk,
        "role": Group.objects.create(name="Clerk").pk,
        "resource": Resource.objects.create(name="Ledger").pk,
    }
    found = {}
    for name, pattern in patterns(get_resolver()):
        values: dict[str, Any] = {"which": "applications", "name": webapp.namespace.name}
        values["pk"] = next((pk for part, pk in rows.items() if name.partition(":")[2].startswith(part)), webapp.pk)
        if name.startswith("webapps:"):
            values["pk"] = webapp.pk
        wanted = {key: values[key] for key in pattern.pattern.converters}
        found[name] = reverse(name, kwargs=wanted)
    return found


def right(name: str) -> str:
    """Say which right a page asks for."""
    application, _, page = name.partition(":")
    if application == "webapps" and page in SEE:
        return "see"
    return "edit" if application == "webapps" and page in EDIT else "administer"


def statuses(client: Client, everything: dict[str, str]) -> dict[str, int]:
    """Open every page, press every button, and return what each answers."""
    guarded = {name: address for name, address in everything.items() if name not in ANYBODY | STRANGERS}
    return {name: opened(client, name, address).status_code for name, address in guarded.items()}


def opened(client: Client, name: str, address: str) -> Any:
    """Open a page, or press a button."""
    response = client.post(address) if name.partition(":")[2] in POSTED else client.get(address)
    response.close()
    return response


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ("colleague", set()),
        ("seer", {"see"}),
        ("editor", {"see", "edit"}),
        ("administrator", {"see", "edit", "administer"}),
    ],
)
def test_it_lets_everybody_do_what_he_may_and_no_more(
    who: str, allowed: set[str], request: pytest.FixtureRequest, everything: dict[str, str]
) -> None:
    answers = statuses(request.getfixturevalue(who), everything)
    assert len(answers) > 30
    for name, status in answers.items():
        expected = (200, 302) if right(name) in allowed else (403,)
        assert status in expected, (name, status)


def test_it_sends_a_stranger_to_sign_in_whatever_he_opens(stranger: Client, everything: dict[str, str]) -> None:
    for name, address in everything.items():
        if name in STRANGERS:
            continue
        response = opened(stranger, name, address)
        assert response.status_code == 302, name
        assert response["Location"].startswith("/portal/login?next="), name


def page_of(client: Client, address: str) -> str:
    response = client.get(address)
    assert isinstance(response, HttpResponse)
    assert response.status_code == 200
    return response.content.decode()


def test_it_hides_what_somebody_may_not_do(
    seer: Client, editor: Client, administrator: Client, webapp: WebApp, namespace: Namespace
) -> None:
    detail = reverse("webapps:detail", args=[webapp.pk])
    words = ("Reload", "Edit", "Delete", "Copy", "Disable")
    assert not any(f">{word}<" in page_of(seer, detail) for word in words)
    assert all(f">{word}<" in page_of(editor, detail) for word in words)
    assert "Install requirements" not in page_of(editor, detail)
    assert "Install requirements" in page_of(administrator, detail)
    for client, shown in ((seer, False), (editor, True)):
        page = page_of(client, "/portal/")
        assert ("Create Web Application" in page) is shown
        assert 'href="/portal/system"' not in page
        assert 'href="/portal/users/"' not in page
        assert "Create Namespace" not in page_of(client, "/portal/namespaces/")
    assert 'href="/portal/users/"' in page_of(administrator, "/portal/")


def test_it_lets_every_link_of_a_page_lead_somewhere(
    seer: Client, editor: Client, webapp: WebApp, namespace: Namespace
) -> None:
    import re

    for client in (seer, editor):
        for address in ("/portal/", reverse("webapps:detail", args=[webapp.pk]), "/portal/namespaces/"):
            for link in re.findall(r'href="(/portal/[^"#?]*)', page_of(client, address)):
                if "/static/" not in link:
                    assert client.get(link).status_code in (200, 302), (address, link)
