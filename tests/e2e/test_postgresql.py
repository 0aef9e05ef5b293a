"""Stoa's rows in PostgreSQL: the same life, by DATABASE_URL."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.test_lifecycle import hello
from tests.patience import within
from tests.serving import Stoa, free_port
from tests.waiting import wait_for


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, or skip."""
    found = shutil.which(name) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
    if found is None:
        pytest.skip("there is no PostgreSQL server here")
    return os.path.realpath(found)


@pytest.fixture
def database_url() -> Iterator[str]:
    """A PostgreSQL of the test's own; it refuses to run as root, so it runs as nobody then."""
    initdb, postgres = program("initdb"), program("postgres")
    user = "nobody" if os.geteuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="stoa-pg-"))
    if user:
        shutil.chown(directory, user)
    data, port = directory / "data", free_port()
    made = [initdb, "-D", str(data), "-U", "stoa", "-A", "trust", "--no-sync"]
    subprocess.run(made, user=user, cwd=directory, check=True, capture_output=True, timeout=within(60))
    argv = [postgres, "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(directory), "-F"]
    server = subprocess.Popen(argv, user=user, cwd=directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"postgresql://stoa@127.0.0.1:{port}/postgres"
    try:
        wait_for(lambda: answers(url), 30, "PostgreSQL answers")
        yield url
    finally:
        server.terminate()
        server.wait(within(30))
        shutil.rmtree(directory, ignore_errors=True)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_an_application_lives_with_its_row_in_postgresql(database_url: str) -> None:
    with Stoa(DATABASE_URL=database_url) as stoa:
        stoa.create("/one", stoa.write("one", hello()))
        assert stoa.eventually("/one/").text == "hello /one /"

        stoa.command("webapp", "reload", "/one")

        assert stoa.status()["/one"]["generation"] == 2
        assert stoa.ask("GET", "/portal/login", portal=True).status == 200
        assert not (stoa.home / "db.sqlite3").exists()
