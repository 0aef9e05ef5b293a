from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from tests.fakes import FakeSupervisor
from webapps.models import Namespace, WebApp, default_directory
from webapps.runtime.spec import Protocol
from webapps.specs import change_counter, read_specs, spec_of

pytestmark = pytest.mark.django_db


def test_it_raises_the_revision_and_the_counter_with_every_save(webapp: WebApp) -> None:
    before = change_counter()
    webapp.save()
    webapp.save(update_fields=[])
    assert webapp.revision == WebApp.objects.get().revision == 3
    assert change_counter() == before + 2


def test_it_counts_from_the_row_and_not_from_an_older_copy(webapp: WebApp) -> None:
    stale = WebApp.objects.get()
    webapp.save()
    stale.save()
    assert WebApp.objects.get().revision == 3


def test_it_starts_every_application_of_a_saved_namespace_anew(webapp: WebApp, namespace: Namespace) -> None:
    before = change_counter()
    namespace.save()
    assert WebApp.objects.get().revision == 2
    assert change_counter() == before + 1


def test_it_counts_a_deletion(webapp: WebApp) -> None:
    before = change_counter()
    webapp.delete()
    assert change_counter() == before + 1


def test_it_nudges_the_supervisor_once_the_change_is_committed(
    webapp: WebApp, supervisor: FakeSupervisor, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        webapp.save()
        assert supervisor.asked == []
    assert supervisor.asked == [{"do": "nudge"}]


def test_it_brings_what_was_written_into_the_form_that_is_stored(namespace: Namespace) -> None:
    webapp = WebApp(name="/Csp/Shop/", host="Shop.Example.", namespace=namespace, app_name="app.py", protocol_type=0)
    webapp.full_clean()
    assert (webapp.name, webapp.host, webapp.app_name) == ("/Csp/Shop", "shop.example", "app")
    assert webapp.protocol == "wsgi"
    assert webapp.label == "shop.example/Csp/Shop"


@pytest.mark.parametrize(
    ("name", "below"),
    [("/csp/notes", "notes"), ("/shop/a", "shop/a"), ("/cspx", "cspx"), ("/", ""), ("/csp", "")],
)
def test_it_lets_the_directory_follow_the_name(name: str, below: str, stoa_home: Path) -> None:
    assert Path(default_directory(name)) == stoa_home / "csp" / below


def test_it_keeps_name_and_host_unique_without_regard_to_case(webapp: WebApp, namespace: Namespace) -> None:
    twin = WebApp(name="/CSP/Notes", namespace=namespace, app_name="app")
    with pytest.raises(ValidationError, match="this Name and Host"):
        twin.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        twin.save()
    WebApp(name="/csp/notes", host="other.example", namespace=namespace, app_name="app").full_clean()


def test_it_has_one_default_application_in_a_namespace(webapp: WebApp, namespace: Namespace) -> None:
    webapp.is_namespace_default = True
    webapp.save()
    second = WebApp(name="/b", namespace=namespace, app_name="app", is_namespace_default=True)
    with pytest.raises(ValidationError, match="default application"):
        second.full_clean()


def test_it_asks_files_only_for_a_path_and_wsgi_for_a_module(namespace: Namespace) -> None:
    with pytest.raises(ValidationError) as files:
        WebApp(name="/a", namespace=namespace, kind="files").full_clean()
    assert set(files.value.message_dict) == {"path"}
    with pytest.raises(ValidationError) as wsgi:
        WebApp(name="/a", namespace=namespace).full_clean()
    assert set(wsgi.value.message_dict) == {"app_name"}


def test_it_puts_a_namespaces_name_into_upper_case() -> None:
    namespace = Namespace(name="sales")
    namespace.full_clean()
    assert namespace.name == "SALES"


def test_it_does_not_delete_a_namespace_with_applications(webapp: WebApp, namespace: Namespace) -> None:
    with pytest.raises(ProtectedError):
        namespace.delete()


def test_it_tells_the_runtime_all_that_it_needs(webapp: WebApp, namespace: Namespace, directory: Path) -> None:
    namespace.environment = {
        "A": {"value": "1", "secret": False},
        "B": {"value": "namespace", "secret": False},
    }
    namespace.save()
    webapp.environment = {"B": {"value": "own", "secret": True}}
    webapp.python_path = f"{directory}\n\n{directory}/lib\n"
    webapp.protocol_type = 2
    webapp.save()
    spec = read_specs()[0]
    assert (spec.id, spec.revision, spec.name, spec.namespace) == (webapp.pk, 3, "/csp/notes", "USER")
    assert (spec.protocol, spec.module, spec.callable) == (Protocol.ASGI, "app", "application")
    assert spec.python_path == (str(directory), f"{directory}/lib")
    assert spec.environment["A"] == "1"
    assert spec.environment["B"] == "own"
    assert spec.environment["DATABASE_URL"] == f"sqlite:///{namespace.directory}/db.sqlite3"
    assert spec.files.path == f"{directory}/static"
    assert spec.open


def test_it_leaves_disabled_applications_out(webapp: WebApp) -> None:
    webapp.enabled = False
    webapp.save()
    assert read_specs() == []


@pytest.mark.parametrize(
    ("bits", "resource", "allowed", "is_open", "is_public"),
    [
        (64, "", 64 + 32, True, True),
        (64, "R", 64 + 32, False, False),
        (32, "", 64 + 32, False, False),
        # Whoever sends credentials is asked who he is.
        (96, "", 64 + 32, False, True),
        (96, "", 64, True, True),
        (96, "", 32, False, False),
        # What Stoa does not have asks nobody anything.
        (64 + 2048, "", 64 + 32, True, True),
        (2048, "", 64 + 32, False, False),
    ],
)
def test_it_is_open_where_nobody_is_asked(
    webapp: WebApp, bits: int, resource: str, allowed: int, is_open: bool, is_public: bool
) -> None:
    webapp.authe_enabled, webapp.resource = bits, resource
    assert spec_of(webapp, allowed).open is is_open
    assert webapp.is_public(allowed) is is_public


def test_it_serves_a_path_for_files_only(namespace: Namespace) -> None:
    webapp = WebApp.objects.create(name="/docs", namespace=namespace, kind="files", path="/srv/docs/")
    spec = spec_of(webapp, 64)
    assert (spec.protocol, spec.files.path) == (Protocol.FILES, "/srv/docs")
