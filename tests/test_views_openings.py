"""The page of an application says what its settings open to it, what not, and why: to whoever may edit it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from tests.fakes import FakeSupervisor
from tests.test_views import text
from webapps.models import WebApp

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def without_ssl_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that tests may have certificates of its own."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "STOA_WALLS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def named(webapp: WebApp, supervisor: FakeSupervisor, tmp_path: Path) -> WebApp:
    """An application whose namespace opens two places, and whose own variables ask for two more."""
    for name in ("google.json", "ca.pem"):
        (tmp_path / name).touch()
    (tmp_path / "data").mkdir()
    webapp.namespace.limits = {"reach": [f"{tmp_path}/data"]}
    webapp.namespace.environment = _environment(GOOGLE_APPLICATION_CREDENTIALS=f"{tmp_path}/google.json")
    webapp.namespace.save()
    webapp.environment = _environment(SSL_CERT_FILE=f"{tmp_path}/ca.pem")
    webapp.save()
    return webapp


def _environment(*, secret: bool = False, **values: str) -> dict[str, Any]:
    return {name: {"value": value, "secret": secret} for name, value in values.items()}


def page(client: Client, webapp: WebApp) -> str:
    return " ".join(text(client.get(reverse("webapps:detail", args=[webapp.pk]))).split())


def test_it_says_what_is_opened_by_what_and_what_is_not(administrator: Client, named: WebApp, tmp_path: Path) -> None:
    shown = page(administrator, named)

    data = f"<code>{tmp_path}/data</code> and all in it: Read and written"
    assert f"<dt>reach of the namespace’s limits</dt> <dd>{data}</dd>" in shown
    google = f"<dd><code>{tmp_path}/google.json</code>: Read</dd>"
    assert f"<dt>GOOGLE_APPLICATION_CREDENTIALS of the namespace</dt> {google}" in shown
    assert (
        f"<dt>SSL_CERT_FILE of the application</dt> <dd><code>{tmp_path}/ca.pem</code>: <strong>Not opened</strong>"
        in shown
    )
    assert f"or name it in its limits: reach: {tmp_path}/ca.pem" in shown


def test_it_says_that_a_database_opens_the_directory_of_its_file(
    administrator: Client, named: WebApp, tmp_path: Path
) -> None:
    named.namespace.environment = _environment(DATABASE_URL=f"sqlite:///{tmp_path}/data/db.sqlite3")
    named.namespace.save()
    data = f"<dd><code>{tmp_path}/data</code> and all in it: Read and written</dd>"
    assert f"<dt>DATABASE_URL of the namespace</dt> {data}" in page(administrator, named)


def test_it_says_what_is_not_there_and_what_to_do_when_it_is(
    administrator: Client, named: WebApp, tmp_path: Path
) -> None:
    (tmp_path / "data").rmdir()
    shown = page(administrator, named)
    assert f"<code>{tmp_path}/data</code>: <strong>It is not there</strong>. When it is, press Reload" in shown
    assert f"<code>{tmp_path}/google.json</code>: Read</dd>" in shown


def test_it_says_so_to_an_editor_and_to_nobody_who_may_only_look(
    editor: Client, seer: Client, colleague: Client, stranger: Client, named: WebApp
) -> None:
    assert "Not opened" in page(editor, named)
    assert "Beyond its own directories" not in page(seer, named)
    for client in (colleague, stranger):
        response = client.get(reverse("webapps:detail", args=[named.pk]))
        assert response.status_code in (302, 403)
        assert "google.json" not in response.content.decode()


def test_it_never_shows_what_a_secret_names(administrator: Client, named: WebApp, tmp_path: Path) -> None:
    named.environment = _environment(secret=True, DATABASE_URL=f"sqlite:///{tmp_path}/hidden/db.sqlite3")
    named.save()
    shown = page(administrator, named)

    assert "DATABASE_URL of the application</dt> <dd>What a secret names: <strong>Not opened</strong>" in shown
    assert "hidden" not in shown.partition("openings-heading")[2].partition("</section>")[0]


def test_it_says_nothing_where_nothing_is_named(
    administrator: Client, webapp: WebApp, supervisor: FakeSupervisor
) -> None:
    webapp.environment = _environment(DATABASE_URL=f"sqlite:///{webapp.directory}/own.db")
    webapp.save()
    assert "Beyond its own directories" not in page(administrator, webapp)


def test_it_knows_where_the_others_live(administrator: Client, named: WebApp, tmp_path: Path) -> None:
    WebApp.objects.create(name="/other", namespace=named.namespace, app_name="app", directory=str(tmp_path / "other"))
    named.environment = _environment(LD_LIBRARY_PATH=f"{tmp_path}/other/lib")
    named.save()
    assert "another application lives there" in page(administrator, named)


def test_it_says_nothing_where_there_are_no_walls(
    administrator: Client, named: WebApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOA_WALLS", "0")
    assert "Beyond its own directories" not in page(administrator, named)


def test_the_system_page_and_the_status_say_that_applications_wait(
    administrator: Client, supervisor: FakeSupervisor, webapp: WebApp, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "Which walls this machine permits to nobody could not be tried: it did not answer within 10 seconds."
    supervisor.warnings = [words]
    assert words in text(administrator.get(reverse("webapps:system")))
    call_command("status")
    assert words in capsys.readouterr().out
