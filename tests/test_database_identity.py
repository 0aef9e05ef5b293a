"""A database that is missing, empty or another one is trouble, not a wish: by hand of the rows, and of commands."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from tests.patience import within
from tests.serving import free_port
from webapps import identity
from webapps.changes import Change
from webapps.identity import FILE, Identity
from webapps.models import WebApp
from webapps.runtime.rows import NotOurs


def said(home: Path) -> list[str]:
    words: list[str] = []
    identity.settle(home, words.append)
    return words


def test_a_database_is_numbered_once_and_the_home_knows_it(db: None, tmp_path: Path) -> None:
    assert said(tmp_path) == []
    number = identity.known(tmp_path)

    assert said(tmp_path) == [] and number > 0
    assert identity.known(tmp_path) == number == Change.every()[Change.IDENTITY]
    assert Identity(tmp_path).counters() == Change.counters()


def test_another_database_is_no_wish_until_stoa_is_restarted(db: None, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("7\n")
    ours = Identity(tmp_path)
    Change.objects.create(pk=Change.IDENTITY, counter=8)

    with pytest.raises(NotOurs, match="another one"):
        ours.counters()
    assert identity.problem(tmp_path) == ""
    assert "another one" in said(tmp_path)[0]
    assert Identity(tmp_path).counters() == Change.counters()


def test_an_emptied_database_is_neither_a_wish_nor_a_start(db: None, tmp_path: Path) -> None:
    said(tmp_path)
    ours = Identity(tmp_path)
    Change.objects.all().delete()

    with pytest.raises(NotOurs, match="emptied"):
        ours.counters()
    assert str(tmp_path / FILE) in identity.problem(tmp_path)
    (tmp_path / FILE).unlink()
    assert identity.problem(tmp_path) == ""


def test_deleting_the_last_application_is_counted(webapp: WebApp, tmp_path: Path) -> None:
    said(tmp_path)
    before = Identity(tmp_path).counters()[0]

    webapp.delete()

    assert Identity(tmp_path).counters()[0] > before


# Commands


def manage(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment: dict[str, Any] = {**os.environ, "STOA_HOME": str(home)}
    environment.pop("DATABASE_URL", None)
    command = [sys.executable, str(django_settings.BASE_DIR / "manage.py"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=within(60), check=False)


@pytest.mark.parametrize("words", [("status",), ("status", "--json"), ("locks",)])
def test_a_command_that_reads_makes_no_database(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = manage(tmp_path, *words)

    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "script/serve makes it" in done.stderr
    assert "STOA_HOME names this home: where Stoa runs with another, give its directory" in done.stderr
    assert not list(tmp_path.glob("db*"))


@pytest.mark.parametrize(
    "words", [("status",), ("merge", "x.cpf"), ("shell", "-c", "1"), ("serve", "--port", str(free_port()))]
)
def test_no_command_makes_another_database_where_there_was_one(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / FILE).write_text("7\n")

    done = manage(tmp_path, *words)

    assert done.returncode == 1
    assert f"{tmp_path}/db.sqlite3 is missing" in done.stderr and str(tmp_path / FILE) in done.stderr
    assert not list(tmp_path.glob("db*"))


def test_the_connection_itself_makes_nothing(tmp_path: Path) -> None:
    code = "import django; django.setup(); from webapps.changes import Change; print(Change.every())"
    environment = {**os.environ, "STOA_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "portal.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=within(60), check=False
    )

    assert "unable to open database file" in done.stderr
    assert not list(tmp_path.glob("db*"))


def test_a_command_that_writes_makes_the_first_one_for_its_owner_alone(tmp_path: Path) -> None:
    assert manage(tmp_path, "shell", "-v0", "-c", "1").returncode == 0
    assert stat.S_IMODE((tmp_path / "db.sqlite3").stat().st_mode) == 0o600
