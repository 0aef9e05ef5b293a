"""The database is removed, emptied, replaced while Stoa runs: what is served goes on, and Stoa too when it is back."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.test_lifecycle import hello
from tests.serving import Stoa
from tests.waiting import wait_for

FILES = ("db.sqlite3", "db.sqlite3-wal", "db.sqlite3-shm")


@pytest.fixture(scope="module")
def stoa() -> Iterator[Stoa]:
    with Stoa() as running:
        running.create("/open", running.write("open", hello()))
        running.create("/asleep", running.write("asleep", hello()))
        running.set("/asleep", sleep_after=1)
        running.create("/guarded", running.write("guarded", hello()), AutheEnabled=32)
        running.eventually("/open/", text="hello")
        yield running


def removed(home: Path) -> None:
    for name in FILES:
        (home / name).unlink(missing_ok=True)


def emptied(home: Path) -> None:
    removed(home)
    (home / FILES[0]).touch(mode=0o600)


def without_rows(home: Path) -> None:
    with closing(sqlite3.connect(home / FILES[0])) as database, database:
        database.execute("DELETE FROM webapps_webapp")
        database.execute("DELETE FROM webapps_change")


def replaced(home: Path) -> None:
    with closing(sqlite3.connect(home / FILES[0])) as database, database:
        database.execute("UPDATE webapps_change SET counter = counter + 1")
        database.execute("DELETE FROM webapps_webapp")


def kept(home: Path, beside: Path) -> None:
    """Copy the database with all that is in its log."""
    with closing(sqlite3.connect(home / FILES[0])) as database, closing(sqlite3.connect(beside)) as copy:
        database.backup(copy)


def put_back(home: Path, beside: Path) -> None:
    removed(home)
    shutil.copy(beside, home / ".back")
    os.rename(home / ".back", home / FILES[0])


def trouble(stoa: Stoa) -> str:
    return " ".join(stoa.live().get("warnings", []))


def is_serving(stoa: Stoa) -> None:
    assert stoa.get("/open/").status == 200
    assert stoa.get("/guarded/").status == 401
    assert stoa.get("/asleep/").status == 200


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("lose", "words"),
    [(removed, "is missing"), (emptied, "emptied"), (without_rows, "emptied"), (replaced, "another one")],
)
def test_what_is_served_goes_on_and_stoa_with_it_when_the_database_is_back(
    stoa: Stoa, lose: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    stoa.wait_for_state("/asleep", "asleep", 30)
    before, beside = stoa.status(), tmp_path / "kept"
    kept(stoa.home, beside)
    try:
        lose(stoa.home)
        wait_for(lambda: words in trouble(stoa), 20, lambda: f"{stoa.live()}{stoa.log('messages')}")
        is_serving(stoa)
        if lose in (removed, emptied):  # A command does not make it, nor does a supervisor that is killed.
            done = stoa.command("status", check=False)
            assert done.returncode == 1 and words in done.stderr
        wait_for(lambda: stoa.fact("/asleep")["state"] == "asleep", 30)
        supervisor = stoa.pid_of("supervisor")
        os.kill(supervisor, signal.SIGKILL)
        wait_for(lambda: words in trouble(stoa), 30, lambda: f"{stoa.live()}{stoa.log('messages')}")
        assert stoa.pid_of("supervisor") != supervisor
        is_serving(stoa)
        assert (stoa.home / FILES[0]).exists() == (lose is not removed)
        assert words in stoa.logged("messages")
    finally:
        put_back(stoa.home, beside)
    wait_for(lambda: stoa.live() and not trouble(stoa), 20, lambda: f"{stoa.live()}{stoa.log('messages')}")

    after = stoa.status()
    assert {name: after[name]["pids"] for name in ("/open", "/guarded")} == {
        name: before[name]["pids"] for name in ("/open", "/guarded")
    }
    # What is saved now is live.
    stoa.command("webapp", "reload", "/open")
    assert stoa.status()["/open"]["generation"] == before["/open"]["generation"] + 1


@pytest.mark.slow
def test_the_last_application_can_be_deleted() -> None:
    with Stoa() as stoa:
        stoa.create("/last", stoa.write("last", hello()))
        stoa.eventually("/last/", text="hello")

        stoa.merge("DeleteApplication:Name=/last")

        assert stoa.eventually("/last/", status=404).status == 404
        assert trouble(stoa) == ""
