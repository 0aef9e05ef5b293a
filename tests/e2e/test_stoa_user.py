"""Started as root with STOA_USER: what people bring runs as that account, what decides and keeps secrets as root.

The account has to reach Stoa and its Python. Both are copied to where everybody may read, and the copy's Python is one
that the account can run; a machine that has none skips these tests and says so.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from tests.e2e.test_browser import make_wheel
from tests.patience import within
from tests.serving import CHECKOUT, Stoa
from tests.waiting import wait_for
from webapps.runtime import processes

ACCOUNT = "nobody"
ROOMS = ("portal", "webapps", "templates", "static")
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


class StoaOfTwo(Stoa):
    """A Stoa that root starts, from a copy that everybody may read."""

    def __init__(self, python: str) -> None:
        super().__init__(STOA_USER=ACCOUNT)
        self.directory.chmod(0o711)
        self.checkout = self.directory / "stoa"
        self.python = _copy(python, self.checkout)

    def manage(self, *words: str) -> list[str]:
        """Run the copy."""
        return [str(self.python), str(self.checkout / "manage.py"), *words]


def _copy(python: str, checkout: Path) -> Path:
    """Copy the checkout and the packages that serving needs; return the copy's Python."""
    for room in ROOMS:
        shutil.copytree(CHECKOUT / room, checkout / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "manage.py", checkout)
    venv = checkout / ".venv"
    subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True, timeout=within(60))
    packages = next(venv.glob("lib/python3*/site-packages"))
    wanted = re.findall(r"^([\w.-]+)==", (CHECKOUT / "requirements.lock").read_text(), re.MULTILINE)
    for package in metadata.distributions():
        if package.name.lower().replace("_", "-") in wanted:
            _copy_package(package, packages)
    return venv / "bin" / "python"


def _copy_package(package: metadata.Distribution, packages: Path) -> None:
    for file in package.files or ():
        source, target = Path(str(file.locate())), packages / file
        if source.is_file() and source.suffix != ".pyc":
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def _python() -> str:
    """Return a Python like ours that the account can run, "" where there is none."""
    account = pwd.getpwnam(ACCOUNT)
    for candidate in dict.fromkeys((os.path.realpath(sys.executable), "/usr/local/bin/python3", "/usr/bin/python3")):
        try:
            done = subprocess.run(
                [
                    candidate,
                    "-I",
                    "-c",
                    "import sys, venv; print(sys.version_info[:2] == (%d, %d))" % sys.version_info[:2],
                ],
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=[],
                cwd="/",
                capture_output=True,
                text=True,
                timeout=within(30),
            )
        except OSError:
            continue
        if done.stdout.strip() == "True":
            return candidate
    return ""


def _missing() -> str:
    if os.geteuid() != 0:
        return "only root can start Stoa for another account"
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return f"this machine has no account {ACCOUNT}"
    reachable = os.stat(tempfile.gettempdir()).st_mode & 0o001
    return "" if reachable and _python() else f"{ACCOUNT} can run no Python {sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="module")
def stoa_of_two() -> Iterator[Stoa]:
    if missing := _missing():
        pytest.skip(missing)
    with StoaOfTwo(_python()) as running:
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
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat[stat.rindex(")") + 2 :].split()[1])


def _owner(pid: int) -> int:
    return os.stat(f"/proc/{pid}").st_uid


def test_the_front_serves_files_and_the_portal(looking: Stoa) -> None:
    assert looking.get("/look/static/x.txt").text == "a file"
    assert looking.ask("GET", "/portal/login", portal=True).status == 200


def test_an_installer_runs_as_the_account(looking: Stoa) -> None:
    wheel = make_wheel(looking.directory)
    wheel.chmod(0o644)
    needs = {"app.py": "import browser_tiny\n" + LOOK, "requirements.txt": f"browser-tiny @ {wheel.as_uri()}\n"}
    directory = looking.write("needs", needs)
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
