"""Started as root with STOA_USER: what people bring runs as that account, what decides and keeps secrets as root.

The account has to reach Stoa and its Python. Both are copied to where everybody may read, and the copy's Python is one
that the account can run; a machine that has none skips these tests and says so.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import ACCOUNT, StoaOfTwo, no_account, python_of_account
from tests.e2e.test_browser import make_wheel
from tests.serving import Stoa
from tests.waiting import wait_for
from webapps.runtime import processes

LOOK = """
import json, os

def can(path):
    try:
        os.listdir(path) if os.path.isdir(path) else open(path).close()
    except OSError as error:
        return error.strerror
    return True

def application(environ, start_response):
    home = environ["HTTP_X_HOME"]
    start_response("200 OK", [("Content-Type", "application/json")])
    names = (".", "db.sqlite3", "secret_key", "log", "log/WSGI.log", "log/messages.log",
             "run", "run/apps", "run/keeper.sock", "run/keeper.json")
    open("written", "w").close()
    return [json.dumps({
        "ids": [os.getuid(), os.geteuid(), os.getgid(), os.getegid(), *os.getgroups()],
        "can": [name for name in names if can(os.path.join(home, name)) is True],
    }).encode()]
"""


@pytest.fixture(scope="module")
def stoa_of_two() -> Iterator[Stoa]:
    if missing := no_account():
        pytest.skip(missing)
    with StoaOfTwo(python_of_account()) as running:
        yield running


@pytest.fixture(scope="module")
def looking(stoa_of_two: Stoa) -> Stoa:
    directory = stoa_of_two.write("look", {"app.py": LOOK, "static/x.txt": "a file"})
    shutil.chown(directory, ACCOUNT)
    stoa_of_two.create("/look", directory)
    stoa_of_two.eventually("/look/", headers={"X-Home": str(stoa_of_two.home)})
    return stoa_of_two


def test_what_is_hosted_runs_as_the_account_and_cannot_read_what_is_stoas(looking: Stoa) -> None:
    account = pwd.getpwnam(ACCOUNT)

    seen = json.loads(looking.get("/look/", headers={"X-Home": str(looking.home)}).text)

    assert set(seen["ids"]) == {account.pw_uid, account.pw_gid}
    assert seen["can"] == []
    assert (looking.home / "csp" / "look" / "written").stat().st_uid == account.pw_uid


def test_each_process_has_its_owner(looking: Stoa) -> None:
    account = pwd.getpwnam(ACCOUNT).pw_uid
    children = looking.children()
    front = [pid for pid in processes.marked(looking.run_dir) if parent_of(pid) == children["front"]]

    assert {_owner(pid) for name, pid in children.items() if name.startswith("zygote:")} == {account}
    assert {_owner(children[name]) for name in ("keeper", "supervisor", "portal", "log")} == {0}
    assert front and {_owner(pid) for pid in front} == {account}


def parent_of(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0  # It has ended.
    return int(stat[stat.rindex(")") + 2 :].split()[1])


def _owner(pid: int) -> int:
    return os.stat(f"/proc/{pid}").st_uid


def test_the_front_serves_files_and_the_portal(looking: Stoa) -> None:
    assert looking.get("/look/static/x.txt").text == "a file"
    assert looking.ask("GET", "/portal/login", portal=True).status == 200


def test_an_installer_runs_as_the_account(looking: Stoa) -> None:
    directory = looking.write("needs", {"app.py": "import browser_tiny\n" + LOOK})
    wheel = make_wheel(directory)
    wheel.chmod(0o644)
    looking.write("needs", {"requirements.txt": f"browser-tiny @ {wheel.as_uri()}\n"})
    shutil.chown(directory, ACCOUNT)
    looking.create("/needs", directory)
    looking.wait_for_state("/needs", "failed")

    looking.command("webapp", "install", "/needs")

    looking.eventually("/needs/", headers={"X-Home": str(looking.home)})
    made = (looking.home / "namespaces" / "USER" / "envs").iterdir()
    assert {path.stat().st_uid for path in made} == {pwd.getpwnam(ACCOUNT).pw_uid}


def test_it_heals_and_stops_as_always(looking: Stoa) -> None:
    before = looking.status()["/look"]["pids"]
    os.kill(before[0], 9)
    wait_for(lambda: looking.status()["/look"]["pids"] not in ([], before), 10, lambda: looking.log("messages"))
    supervisor = looking.pid_of("supervisor")
    os.kill(supervisor, 9)
    wait_for(lambda: looking.live().get("supervisor", {}).get("pid") not in (None, supervisor), 10)

    assert looking.get("/look/", headers={"X-Home": str(looking.home)}).status == 200
