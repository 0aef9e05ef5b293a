"""Who may see, edit and administer: every page and button, tried by everybody."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.test_forms import errors, filled
from webapps.forms import WebAppForm
from webapps.models import Namespace, Resource, WebApp
from webapps.roots import is_below

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


# Editors and directories


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A directory with an application that is below no root."""
    (tmp_path / "app.py").write_text("application = print\n")
    return tmp_path


def test_it_knows_what_is_below_a_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "inside").mkdir(parents=True)
    (root / "leaves").symlink_to(tmp_path)
    (tmp_path / "alias").symlink_to(root)
    roots = [str(root)]
    assert is_below(f"{root}/inside", roots)
    assert is_below(f"{root}/not/there/yet", roots)
    assert is_below(f"{tmp_path}/alias/inside", roots)
    assert is_below(f"{root}/inside", [str(tmp_path / "alias")])
    for outside in ("", "/leaves", "/leaves/x", "/../other", "/inside/../../x", "-twin/x"):
        assert not is_below(f"{root}{outside}", roots), outside


@pytest.mark.parametrize("field", ["directory", "python_path", "path"])
def test_it_holds_an_editor_to_the_roots_of_the_namespace(
    namespace: Namespace, directory: Path, elsewhere: Path, field: str
) -> None:
    data = filled(namespace, **{"directory": str(directory), field: str(elsewhere)})
    found = errors(WebAppForm(data, confined=True))
    assert set(found) == {field}
    assert f"{elsewhere} is not below {namespace.effective_roots[0]}" in found[field]
    assert WebAppForm(data).is_valid()


def test_it_tells_an_editor_nothing_of_what_lies_elsewhere(namespace: Namespace, elsewhere: Path) -> None:
    for path in (elsewhere, elsewhere / "app.py", elsewhere / "nothing"):
        found = errors(WebAppForm(filled(namespace, directory=str(path)), confined=True))
        assert found["directory"].startswith(f"{path} is not below")
        assert "app_name" not in found


def test_it_makes_no_directory_elsewhere_for_an_editor(namespace: Namespace, elsewhere: Path) -> None:
    form = WebAppForm(filled(namespace, directory=f"{elsewhere}/new", make_directory="on"), confined=True)
    assert not form.is_valid()
    assert not (elsewhere / "new").exists()


def test_it_follows_the_links_of_an_editor(namespace: Namespace, directory: Path, elsewhere: Path) -> None:
    os.symlink(elsewhere, directory.parent / "link")
    found = errors(WebAppForm(filled(namespace, directory=str(directory.parent / "link")), confined=True))
    assert "is not below" in found["directory"]
    os.symlink(elsewhere, directory / "static")
    found = errors(WebAppForm(filled(namespace, directory=str(directory)), confined=True))
    assert f"{directory}/static is not below" in found["path"]


def test_it_lets_an_editor_keep_what_an_administrator_set(webapp: WebApp, elsewhere: Path) -> None:
    webapp.directory = str(elsewhere)
    webapp.save()
    data = filled(webapp.namespace, directory=str(elsewhere), description="Changed")
    assert WebAppForm(data, instance=webapp, confined=True).is_valid()
    deeper = filled(webapp.namespace, directory=f"{elsewhere}/deeper")
    assert "is not below" in errors(WebAppForm(deeper, instance=WebApp.objects.get(), confined=True))["directory"]


def test_it_lets_an_editor_take_no_directory_to_another_namespace(webapp: WebApp, elsewhere: Path) -> None:
    webapp.directory = str(elsewhere)
    webapp.save()
    other = Namespace.objects.create(name="OTHER")
    data = filled(other, directory=str(elsewhere))
    assert "is not below" in errors(WebAppForm(data, instance=webapp, confined=True))["directory"]
    other.roots = [str(elsewhere.parent)]
    other.save()
    assert WebAppForm(data, instance=WebApp.objects.get(), confined=True).is_valid()


def test_it_lets_an_editor_hide_no_directory_behind_files_only(
    webapp: WebApp, directory: Path, elsewhere: Path
) -> None:
    data = filled(webapp.namespace, kind="files", path=str(directory), directory=str(elsewhere))
    assert "is not below" in errors(WebAppForm(data, instance=webapp, confined=True))["directory"]


def test_it_asks_who_saves(editor: Client, administrator: Client, namespace: Namespace, elsewhere: Path) -> None:
    data = filled(namespace, directory=str(elsewhere)).dict()
    response = editor.post(reverse("webapps:create"), data)
    assert "is not below" in response.content.decode()
    assert not WebApp.objects.exists()
    administrator.post(reverse("webapps:create"), data)
    webapp = WebApp.objects.get()
    editor.post(reverse("webapps:edit", args=[webapp.pk]), data | {"description": "By the editor"})
    assert WebApp.objects.get().description == "By the editor"
    for button in ("disable", "enable", "reload"):
        editor.post(reverse(f"webapps:{button}", args=[webapp.pk]))
    assert WebApp.objects.get().revision == 5
