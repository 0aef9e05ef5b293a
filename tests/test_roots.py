"""An editor names only directories below the roots of the application's namespace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from tests.test_forms import errors, filled
from webapps.forms import WebAppForm
from webapps.models import Namespace, WebApp
from webapps.roots import is_below

pytestmark = pytest.mark.django_db


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
