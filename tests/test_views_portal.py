"""The portal's shell: signing in and out, headers, pages for what went wrong, settings that are wrong."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.db import OperationalError
from django.test import Client, RequestFactory

from portal import keys, views
from tests.patience import within

pytestmark = pytest.mark.django_db


def focused(page: bytes) -> list[str]:
    """Return the names of the fields that a page begins with."""
    return [str(name) for name in re.findall(r'<input[^>]* name="(\w+)"[^>]* autofocus>', page.decode())]


def test_it_signs_in_and_out(stranger: Client) -> None:
    get_user_model().objects.create_superuser("ada", "", "correct horse")
    assert "Sign in" in stranger.get("/portal/login").content.decode()
    wrong = stranger.post("/portal/login", {"username": "ada", "password": "wrong"})
    assert "do not match" in wrong.content.decode()
    assert focused(stranger.get("/portal/login").content) == ["username"]
    assert focused(wrong.content) == ["password"]
    right = stranger.post("/portal/login", {"username": "ada", "password": "correct horse", "next": "/portal/system"})
    assert right["Location"] == "/portal/system"
    cookie = stranger.cookies["stoa_session"]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == ("/portal/", True, "Lax")
    assert stranger.get("/portal/logout").status_code == 405
    assert stranger.post("/portal/logout")["Location"] == "/portal/login"
    assert stranger.get("/portal/").status_code == 302


def test_it_does_not_lead_to_other_sites_after_signing_in(stranger: Client) -> None:
    get_user_model().objects.create_superuser("ada", "", "correct horse")
    data = {"username": "ada", "password": "correct horse", "next": "https://evil.example/"}
    assert stranger.post("/portal/login", data)["Location"] == "/portal/"


@pytest.mark.parametrize(
    "wanted",
    [
        *("/%2fevil.example", "/portal/%2fevil.example", "/portal/%2F%2Fevil.example", "/portal//evil.example"),
        *("/portal/%5cevil.example", "/portal/\\evil.example", "/portal/%0d%0ax", "/portal/x%00", "/portal/\tx"),
        *("/portal/../csp/x", "/portal/%2e%2e/csp/x", "/portal/./x", "/csp/x", "//evil.example", "/portalx", "/"),
        *("/portal/log/" + "a" * 50_000 + "!", "/portal/log/" + "a/" * 20_000 + "!"),
    ],
    ids=lambda wanted: ascii(wanted[:30]),
)
def test_it_leads_to_pages_of_the_portal_only(stranger: Client, wanted: str) -> None:
    get_user_model().objects.create_superuser("ada", "", "correct horse")
    data = {"username": "ada", "password": "correct horse", "next": wanted}
    assert stranger.post("/portal/login", data)["Location"] == "/portal/"


@pytest.mark.parametrize(
    "wanted",
    ["/portal/", "/portal/webapps/7/edit", "/portal/log/stoa?app=%2Fa&x=//y", "/portal/namespaces/%25SYS/edit"],
)
def test_it_leads_back_to_the_page_that_was_asked_for(stranger: Client, wanted: str) -> None:
    get_user_model().objects.create_superuser("ada", "", "correct horse")
    data = {"username": "ada", "password": "correct horse", "next": wanted}
    assert stranger.post("/portal/login", data)["Location"] == wanted


def test_it_keeps_every_page_to_itself(stranger: Client, administrator: Client) -> None:
    for response in (stranger.get("/portal/login"), administrator.get("/portal/"), stranger.get("/portal/x")):
        policy = response["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert response["X-Frame-Options"] == "DENY"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["Cross-Origin-Opener-Policy"] == "same-origin"
        assert response["Referrer-Policy"] == "same-origin"
        assert response["Cache-Control"].startswith("no-store") or "no-cache" in response["Cache-Control"]


def test_it_answers_to_its_own_names_only(administrator: Client) -> None:
    assert administrator.get("/portal/", headers={"host": "evil.example"}).status_code == 400
    assert administrator.get("/portal/", headers={"host": "127.0.0.1:8080"}).status_code == 200
    assert administrator.get("/portal/", headers={"host": "[::1]:8080"}).status_code == 200


def test_it_leads_to_the_portal(stranger: Client) -> None:
    assert stranger.get("/")["Location"] == "/portal/"
    assert stranger.get("/portal")["Location"] == "/portal/"


def test_it_says_in_its_own_shell_that_there_is_nothing(administrator: Client) -> None:
    response = administrator.get("/portal/nothing")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()
    assert "Web Applications" in response.content.decode()


def test_it_says_that_it_failed(rf: RequestFactory) -> None:
    response = views.server_error(rf.get("/portal/"))
    assert response.status_code == 500
    assert "Stoa itself failed" in response.content.decode()


def test_it_names_no_other_server_in_a_page(stranger: Client) -> None:
    page = stranger.get("/portal/login").content.decode()
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    css = (django_settings.BASE_DIR / "static" / "portal" / "portal.css").read_text()
    assert "url(" not in css
    assert "@import" not in css


@pytest.mark.parametrize(
    ("name", "value", "identifier"),
    [
        ("STOA_URL", "apps.example", "stoa.E002"),
        ("STOA_URL", "http://a:x", "stoa.E002"),
        ("STOA_PORTAL_URL", "https://a/portal", "stoa.E003"),
        ("STOA_PORTAL_URL", "http://127.0.0.1:8000", "stoa.E004"),
        ("STOA_TRUSTED_PROXIES", ["10.0.0.256"], "stoa.E005"),
        ("STOA_HOME", Path("/proc/self/cmdline/below"), "stoa.E001"),
    ],
)
def test_it_reports_a_wrong_setting_with_a_hint(settings: Any, name: str, value: Any, identifier: str) -> None:
    setattr(settings, name, value)
    assert own_messages() == [identifier]


def test_it_reports_a_database_url_that_it_does_not_understand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(django_settings.DATABASES["default"], "ENGINE", "django.db.backends.dummy")
    assert own_messages() == ["stoa.E006"]


def test_it_checks_what_is_wished_of_the_walls(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, found in (("yes", ["stoa.E008"]), ("required", []), ("", [])):
        monkeypatch.setenv("STOA_WALLS", value)
        assert own_messages() == found


def own_messages() -> list[str]:
    """Run the checks and return the ids of Stoa's own messages, each of which has a hint."""
    found = [message for message in run_checks() if str(message.id).startswith("stoa.")]
    assert all(message.hint for message in found)
    return [str(message.id) for message in found]


def test_it_finds_nothing_wrong_by_default() -> None:
    assert run_checks() == []


def test_it_makes_one_secret_key_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STOA_SECRET_KEY", raising=False)
    home = tmp_path / "home"
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(keys.secret_key, [home] * 8))
    assert len(made) == 1
    assert stat.S_IMODE((home / "secret_key").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o711
    assert os.listdir(home) == ["secret_key"]


def test_it_takes_the_secret_key_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_SECRET_KEY", "given")
    assert keys.secret_key(tmp_path) == "given"
    assert not list(tmp_path.iterdir())


def test_it_makes_the_database_when_two_commands_come_at_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, str(django_settings.BASE_DIR / "manage.py"), "shell", "-v0", "-c"]
    code = "from webapps.models import Namespace; print(Namespace.objects.count())"
    environment = {**os.environ, "STOA_HOME": str(home)}
    environment.pop("DATABASE_URL", None)
    started = [
        subprocess.Popen([*command, code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=within(60))[0].decode() for process in started]
    assert outputs == ["0\n", "0\n"]
    assert stat.S_IMODE((home / "db.sqlite3").stat().st_mode) == 0o600


def test_it_says_in_one_line_that_the_home_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, str(django_settings.BASE_DIR / "manage.py"), "shell", "-c", "1"]
    environment = {**os.environ, "STOA_HOME": str(tmp_path / "file" / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=within(60))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "set STOA_HOME to a directory that is" in done.stderr


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("database or disk is full", "the disk is full"),
        ("database is locked", "busy"),
        ("attempt to write a readonly database", "read-only"),
        ('connection to server at "10.0.0.1" failed: secret words', "does not answer"),
    ],
)
def test_a_database_that_fails_is_said_in_words(
    administrator: Client, monkeypatch: pytest.MonkeyPatch, said: str, words: str
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise OperationalError(said)

    administrator.raise_request_exception = False
    monkeypatch.setattr("webapps.views.pages.render", fail)
    answer = administrator.get("/portal/")

    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert words in answer.content.decode()
    assert "Nothing was saved" in answer.content.decode()
    assert "secret words" not in answer.content.decode()
