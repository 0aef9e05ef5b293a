from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from django.http import QueryDict

from webapps.choices import Kind
from webapps.forms import NamespaceForm, WebAppForm
from webapps.models import Namespace, WebApp

pytestmark = pytest.mark.django_db


def filled(namespace: Namespace, /, **changes: Any) -> QueryDict:
    """Return what a browser sends for a form that was filled in for /csp/notes."""
    values: dict[str, Any] = {
        "name": "/csp/notes",
        "namespace": namespace.pk,
        "enabled": "on",
        "kind": "wsgi",
        "app_name": "app",
        "callable_name": "application",
        "directory": "",
        "protocol_type": "1",
        "authe_enabled": ["64"],
        "serve_files": "1",
        "serve_files_timeout": "3600",
        "processes_min": "1",
        "processes_max": "2",
        "threads": "4",
        "request_timeout": "60",
        "start_timeout": "60",
        "memory_limit": "0",
        "max_requests": "0",
        "health_status": "0",
        "sleep_after": "900",
        "max_body": "1024",
        **changes,
    }
    data = QueryDict(mutable=True)
    for name, value in values.items():
        data.setlist(name, value if isinstance(value, list) else [str(value)])
    return data


def variables(*rows: tuple[str, str, bool]) -> dict[str, list[str]]:
    """Return what a browser sends for rows of name, value and Secret."""
    return {
        "environment_name": [row[0] for row in rows],
        "environment_value": [row[1] for row in rows],
        "environment_secret": [str(number) for number, row in enumerate(rows) if row[2]],
    }


def errors(form: WebAppForm | NamespaceForm) -> dict[str, str]:
    """Return the fields' messages, and check that nothing else is wrong with the form."""
    assert not form.is_valid()
    return {name: " ".join(str(message) for message in messages) for name, messages in form.errors.items()}


def test_it_saves_what_is_right(namespace: Namespace, directory: Path) -> None:
    form = WebAppForm(filled(namespace, name="/csp/notes/", app_name="app.py", description="Notes"))
    assert form.is_valid(), form.errors
    webapp = form.save()
    assert (webapp.name, webapp.app_name, webapp.directory) == ("/csp/notes", "app", str(directory))
    assert (webapp.authe_enabled, webapp.max_body, webapp.revision) == (64, 1 << 30, 1)


def test_it_begins_with_the_defaults(namespace: Namespace) -> None:
    html = str(WebAppForm()["authe_enabled"]) + str(WebAppForm()["max_body"])
    assert re.findall(r'value="(\d+)"[^>]*checked', html) == ["32", "16384"]
    assert 'value="1024"' in html


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "notes", "begins with “/”"),
        ("name", "/portal/x", "Stoa’s own"),
        ("name", "/" + "a" * 64, "at most 64"),
        ("name", "", "required"),
        ("host", "a:80", "without scheme, port"),
        ("namespace", "999", "no such namespace"),
        ("app_name", "", "Give the module"),
        ("app_name", "nothere", "The modules there are: app."),
        ("app_name", "../x.wsgi", "Give a module"),
        ("callable_name", "", "Give the application’s callable"),
        ("callable_name", "a b", "a factory with its parentheses"),
        ("directory", "/etc", "belongs to the operating system"),
        ("directory", "notes", "Give the whole path"),
        ("python_path", "/nowhere/at/all", "There is no directory /nowhere/at/all"),
        ("protocol_type", "3", "not one of the available choices"),
        ("description", "a\x1bb", "U+001B"),
        ("processes_min", "3", "processes_max"),
        ("health_path", "health", "begins with “/”"),
        ("health_status", "100", "a status from 200 to 599"),
        ("health_status", "600", "a status from 200 to 599"),
        ("authe_enabled", ["16"], "not one of the available choices"),
    ],
)
def test_it_names_the_cause_at_the_field(
    namespace: Namespace, directory: Path, field: str, value: Any, words: str
) -> None:
    found = errors(WebAppForm(filled(namespace, **{field: value})))
    assert words in found.get(field, "") or words in found
    assert WebApp.objects.count() == 0


def test_it_refuses_a_name_that_is_taken(webapp: WebApp, namespace: Namespace) -> None:
    found = errors(WebAppForm(filled(namespace, name="/CSP/notes", directory=webapp.directory)))
    assert found == {"name": "/csp/notes is taken (case does not count). Choose another name, or a host."}
    other = filled(namespace, host="b.example", directory=webapp.directory)
    assert WebAppForm(other).is_valid()
    assert WebAppForm(filled(namespace, directory=webapp.directory), instance=webapp).is_valid()


def test_it_refuses_a_second_default_application(webapp: WebApp, namespace: Namespace) -> None:
    webapp.is_namespace_default = True
    webapp.save()
    data = filled(namespace, name="/b", directory=webapp.directory, is_namespace_default="on")
    assert "Untick it there first" in errors(WebAppForm(data))["is_namespace_default"]


def test_it_refuses_a_file_as_the_directory(namespace: Namespace, directory: Path) -> None:
    found = errors(WebAppForm(filled(namespace, directory=directory / "app.py")))
    assert "a file, not a directory" in found["directory"]


@pytest.mark.parametrize("end", ["", "/"])
def test_it_says_that_a_link_leads_nowhere(namespace: Namespace, directory: Path, end: str) -> None:
    (directory / "link").symlink_to("nothing")
    link = f"{directory}/link{end}"
    wsgi = errors(WebAppForm(filled(namespace, directory=link)))
    files = errors(WebAppForm(filled(namespace, kind=Kind.FILES, path=link)))

    assert wsgi.keys() == {"directory"} and "is a link that leads nowhere" in wsgi["directory"]
    assert "is a link that leads nowhere" in files["path"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_it_refuses_a_directory_that_cannot_be_read(namespace: Namespace, directory: Path) -> None:
    directory.chmod(0)
    try:
        found = errors(WebAppForm(filled(namespace, directory=directory)))
    finally:
        directory.chmod(0o755)
    assert "may not read" in found["directory"]


@pytest.mark.parametrize("name", ["lib.web", "pack", "tool.wsgi", "inst", "wsgiref.simple_server"])
def test_it_finds_modules_where_the_application_would(
    namespace: Namespace, directory: Path, stoa_home: Path, name: str
) -> None:
    (directory / "lib").mkdir()
    (directory / "lib" / "web.py").touch()
    (directory / "pack").mkdir()
    (directory / "pack" / "__init__.py").touch()
    (directory / "tool.wsgi").touch()
    site = stoa_home / "namespaces" / "USER" / "env" / "lib" / "python3.11" / "site-packages"
    (site / "inst").mkdir(parents=True)
    assert WebAppForm(filled(namespace, app_name=name)).is_valid()


def test_it_never_imports_to_look(namespace: Namespace, directory: Path) -> None:
    (directory / "loud.py").write_text("raise SystemExit('imported')")
    assert WebAppForm(filled(namespace, app_name="loud")).is_valid()


def test_it_takes_a_callable_that_names_its_module(namespace: Namespace, directory: Path) -> None:
    (directory / "shop").mkdir()
    (directory / "shop" / "wsgi.py").touch()
    assert WebAppForm(filled(namespace, app_name="shop", callable_name="shop.wsgi.application")).is_valid()


def test_it_offers_to_make_a_missing_directory(namespace: Namespace, stoa_home: Path) -> None:
    form = WebAppForm(filled(namespace))
    assert f"There is no directory {stoa_home}/csp/notes" in errors(form)["directory"]
    assert form.offers_directory
    assert not (stoa_home / "csp" / "notes").exists()


@pytest.mark.parametrize(
    ("protocol", "app_name", "callable_name", "file", "line"),
    [
        ("1", "app", "application", "app.py", "def application(environ, start_response):"),
        ("2", "app", "app", "app.py", "async def app(scope, receive, send):"),
        ("1", "shop.web", "application", "shop/web.py", "def application(environ, start_response):"),
        ("1", "shop.wsgi", "application", "shop.wsgi", "def application(environ, start_response):"),
        ("1", "app", "create_app()", "app.py", "def create_app():"),
    ],
)
def test_it_makes_a_directory_with_a_hello_application(
    namespace: Namespace,
    stoa_home: Path,
    protocol: str,
    app_name: str,
    callable_name: str,
    file: str,
    line: str,
) -> None:
    names = {"app_name": app_name, "callable_name": callable_name}
    form = WebAppForm(filled(namespace, make_directory="on", protocol_type=protocol, **names))
    assert form.is_valid(), form.errors
    text = (stoa_home / "csp" / "notes" / file).read_text()
    assert line in text
    compile(text, file, "exec")
    assert form.made == str(stoa_home / "csp" / "notes" / file)


def test_it_makes_nothing_while_anything_is_wrong(namespace: Namespace, stoa_home: Path) -> None:
    assert not WebAppForm(filled(namespace, make_directory="on", health_path="bad")).is_valid()
    assert not WebAppForm(filled(namespace, make_directory="on", directory="/etc/notes")).is_valid()
    assert not (stoa_home / "csp").exists()
    assert not Path("/etc/notes").exists()


def test_it_says_when_the_directory_cannot_be_made(namespace: Namespace, stoa_home: Path) -> None:
    (stoa_home / "csp").write_text("a file is in the way")
    assert "could not be made" in errors(WebAppForm(filled(namespace, make_directory="on")))["directory"]


def test_it_serves_files_only_without_python(namespace: Namespace, directory: Path) -> None:
    form = WebAppForm(filled(namespace, kind="files", app_name="", callable_name="", path=directory))
    assert form.is_valid(), form.errors
    found = errors(WebAppForm(filled(namespace, kind="files", app_name="")))
    assert "Files only means a Physical Path" in found["path"]
    assert "There is no directory" in errors(WebAppForm(filled(namespace, kind="files", path="/srv/x/y")))["path"]


def test_it_keeps_the_bits_that_it_does_not_offer(webapp: WebApp, namespace: Namespace) -> None:
    webapp.authe_enabled = 16 + 1048576 + 64
    webapp.save()
    data = filled(namespace, directory=webapp.directory, authe_enabled=["32"])
    form = WebAppForm(data, instance=webapp)
    assert form.is_valid()
    assert form.save().authe_enabled == 16 + 1048576 + 32


def test_it_copies_everything_but_the_name_and_the_secrets(webapp: WebApp) -> None:
    webapp.environment = {
        "KEY": {"value": "hunter2", "secret": True},
        "MODE": {"value": "live", "secret": False},
    }
    webapp.protocol_type = 2
    webapp.save()
    form = WebAppForm(copy_of=webapp)
    assert not form["name"].value()
    assert form["protocol_type"].value() == 2
    html = str(form["environment"])
    assert "hunter2" not in html
    assert ">&#10;live</textarea>" in html
    assert "KEY" in html


def test_it_keeps_a_secret_that_is_left_blank_and_never_shows_it(webapp: WebApp, namespace: Namespace) -> None:
    webapp.environment = {"KEY": {"value": "hunter2", "secret": True}}
    webapp.save()
    assert "hunter2" not in WebAppForm(instance=webapp).as_p()
    rows = variables(("KEY", "", True), ("MODE", "live", False), ("", "", False))
    form = WebAppForm(filled(namespace, directory=webapp.directory, **rows), instance=webapp)
    assert form.is_valid(), form.errors
    assert form.save().environment == {
        "KEY": {"value": "hunter2", "secret": True},
        "MODE": {"value": "live", "secret": False},
    }


def test_it_does_not_send_back_a_secret_that_was_just_typed(namespace: Namespace, directory: Path) -> None:
    form = WebAppForm(filled(namespace, name="bad", **variables(("KEY", "typed-secret", True))))
    assert not form.is_valid()
    assert "typed-secret" not in form.as_p()
    assert "Type the new value again" in form.as_p()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("KEY", "", False)], "Type its value again"),
        ([("NEW", "", True)], "has no value yet"),
        ([("1A", "x", False)], "is no name"),
        ([("A=B", "x", False)], "is no name"),
        ([("A", "x", False), ("A", "y", False)], "given twice"),
        ([("", "x", False)], "has no name"),
        ([("A", "x\x00", False)], "U+0000"),
    ],
)
def test_it_says_what_is_wrong_with_a_variable(
    webapp: WebApp, namespace: Namespace, rows: list[tuple[str, str, bool]], words: str
) -> None:
    webapp.environment = {"KEY": {"value": "hunter2", "secret": True}}
    webapp.save()
    data = filled(namespace, directory=webapp.directory, **variables(*rows))
    assert words in errors(WebAppForm(data, instance=webapp))["environment"]


def test_it_escapes_what_people_write(namespace: Namespace, directory: Path) -> None:
    form = WebAppForm(filled(namespace, description="<script>alert(1)</script>", name='"><b>'))
    assert not form.is_valid()
    assert "<script>" not in form.as_p()
    assert "><b>" not in form.as_p()


def test_it_creates_a_namespace_in_upper_case() -> None:
    form = NamespaceForm({"name": "sales", "roots": ""})
    assert form.is_valid(), form.errors
    assert form.save().name == "SALES"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "%SYS", "reserved"),
        ("name", "a b", "is a letter, then"),
        ("name", "user", "already"),
        ("interpreter", "python3", "Give the whole path"),
        ("interpreter", "/nowhere/python", "no program"),
        ("interpreter", "/bin/true", "does not answer as Python does"),
        ("database_url", "nonsense", "Give a URL"),
        ("roots", "/etc", "operating system"),
        ("os_user", "nobody-of-that-name", "no user"),
        ("os_user", "root", "may do everything"),
    ],
)
def test_it_names_the_cause_at_the_namespaces_field(namespace: Namespace, field: str, value: str, words: str) -> None:
    data = {"name": "NEW", field: value}
    assert words in errors(NamespaceForm(data))[field]


def test_it_takes_an_interpreter_that_answers() -> None:
    assert NamespaceForm({"name": "NEW", "interpreter": sys.executable}).is_valid()


def test_it_does_not_rename_a_namespace(namespace: Namespace) -> None:
    form = NamespaceForm({"name": "OTHER", "description": "x"}, instance=namespace)
    assert form.is_valid(), form.errors
    assert form.save().name == "USER"
