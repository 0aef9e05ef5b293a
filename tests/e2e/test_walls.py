"""Each way out of a hosted application is tried from inside, as the account that starts the tests and as nobody."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.e2e.test_stoa_user import ACCOUNT, StoaOfTwo, _missing, _python
from tests.serving import CHECKOUT, Stoa

ESCAPE = (CHECKOUT / "tests" / "fixtureapps" / "escape" / "app.py").read_text()
LIMITS = {"memory": 400 << 20, "open_files": 200, "processes": 60, "temporary": 20 << 20}


@pytest.fixture(scope="module", params=["as it is started", "for another account"])
def walled(request: pytest.FixtureRequest) -> Iterator[Stoa]:
    if request.param == "for another account":
        if missing := _missing():
            pytest.skip(missing)
        site: Stoa = StoaOfTwo(_python())
    else:
        site = Stoa()
    with site as running:
        running.command(
            "shell",
            "-c",
            "from webapps.models import *; n = Namespace.objects.get(name='USER'); "
            f"n.limits = {LIMITS!r}; n.save(); Namespace.objects.create(name='OTHER', interpreter=n.interpreter)",
        )
        for name in ("escape", "neighbour"):
            directory = running.write(name, {"app.py": ESCAPE})
            if request.param == "for another account":
                account = pwd.getpwnam(ACCOUNT)
                os.chown(directory, account.pw_uid, account.pw_gid)
            running.create(f"/{name}", directory)
            running.eventually(f"/{name}/?do=read&with=.")
        yield running


def met(stoa: Stoa, do: str = "", *words: object) -> str:
    """Return what an attempt met, "" where it succeeded."""
    query = urlencode([("do", do), *(("with", str(word)) for word in words)]) if do else ""
    answer = stoa.get(f"/escape/?{query}")
    assert answer.status == 200, answer.text
    return str(json.loads(answer.text))


def need(stoa: Stoa, wall: str) -> None:
    """Skip where the report says that a wall does not hold on this machine."""
    found = {line["name"]: line for line in stoa.live()["walls"]}[wall]
    if not found["holds"]:
        pytest.skip(f"{wall}: {found['words']}")


def socket_of(stoa: Stoa, label: str) -> str:
    number = stoa.command("shell", "-c", f"from webapps.models import *; print(WebApp.objects.get(name='{label}').pk)")
    return str(stoa.run_dir / "apps" / f"{number.stdout.split()[-1]}.sock")


def test_an_ordinary_application_runs_unchanged(walled: Stoa) -> None:
    assert met(walled) == ""


@pytest.mark.parametrize("name", ["secret_key", "db.sqlite3", "log", "log/WSGI.log", "run", "csp/neighbour/app.py"])
def test_it_reads_nothing_of_stoas_or_of_another_application(walled: Stoa, name: str) -> None:
    need(walled, "Files")
    assert (walled.home / name).exists()
    assert met(walled, "read", walled.home / name)


def test_it_does_not_write_outside_its_own(walled: Stoa) -> None:
    need(walled, "Files")
    for path in ("/etc/stoa-was-here", "/usr/stoa-was-here", walled.home / "csp" / "neighbour" / "x", "/root/x"):
        assert met(walled, "write", path)


def test_it_does_not_write_into_its_environment(walled: Stoa) -> None:
    need(walled, "Environment read-only")
    for name in ("envs", "requirements", "install"):
        assert met(walled, "write", walled.home / "namespaces" / "USER" / name / "x")


@pytest.mark.parametrize("name", ["keeper.sock", "control.sock"])
def test_it_does_not_speak_to_stoa(walled: Stoa, name: str) -> None:
    need(walled, "Stoa’s sockets")
    assert met(walled, "connect", walled.run_dir / name, "packets")


def test_it_does_not_reach_another_applications_socket(walled: Stoa) -> None:
    need(walled, "Sockets of other applications")
    assert met(walled, "connect", socket_of(walled, "/neighbour"))


@pytest.mark.parametrize("name", ["keeper", "supervisor", "portal", "log"])
def test_it_does_not_look_into_stoas_processes(walled: Stoa, name: str) -> None:
    need(walled, "Memory and environment of other processes")
    pid = walled.children()[name]
    assert met(walled, "read", f"/proc/{pid}/environ")
    assert met(walled, "read", f"/proc/{pid}/root/etc/passwd")
    assert met(walled, "trace", pid)


def test_it_signals_nobody_else(walled: Stoa) -> None:
    need(walled, "Signals to other processes")
    others = [*walled.children().values(), *walled.status()["/neighbour"]["pids"]]
    for pid in others:
        assert met(walled, "kill", pid)


def test_a_temporary_directory_that_fills_up_is_its_own(walled: Stoa) -> None:
    need(walled, "Temporary directory of its own")
    assert "No space left" in met(walled, "fill")
    assert walled.get("/neighbour/?do=read&with=.").text == '""'


def test_forks_come_to_an_end(walled: Stoa) -> None:
    need(walled, "Number of processes")
    assert "BlockingIOError" in met(walled, "fork")
    assert walled.get("/neighbour/?do=read&with=.").text == '""'


def test_open_files_come_to_an_end(walled: Stoa) -> None:
    assert "Too many open files" in met(walled, "open_files")


def test_memory_comes_to_an_end(walled: Stoa) -> None:
    assert "MemoryError" in met(walled, "memory")


def test_it_does_not_undo_its_walls(walled: Stoa) -> None:
    need(walled, "Files")
    assert met(walled, "mount")


def test_walls_can_be_switched_off() -> None:
    with Stoa(STOA_WALLS="0") as stoa:
        stoa.create("/escape", stoa.write("escape", {"app.py": ESCAPE}))
        stoa.eventually("/escape/?do=read&with=.")
        assert [line["words"] for line in stoa.live()["walls"]] == ["STOA_WALLS=0 switches them off"]
        assert met(stoa, "read", stoa.home / "csp") == ""
        shutil.rmtree(stoa.home / "csp" / "escape")
