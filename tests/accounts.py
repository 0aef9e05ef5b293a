"""Stoas on the kinds of account that there are: as it is started, by root for another account, by another account."""

from __future__ import annotations

import atexit
import functools
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest

from tests.patience import within
from tests.serving import CHECKOUT, Stoa
from tests.waiting import wait_for

ACCOUNT = "nobody"
ROOMS = ("portal", "webapps", "templates", "static")
AS_STARTED, FOR_ANOTHER, BY_ANOTHER = "as it is started", "for another account", "by another account"
OLDER = "by another account on an older kernel"


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
    """Copy the checkout, with a way to the packages that serving needs; return the copy's Python."""
    for room in ROOMS:
        shutil.copytree(CHECKOUT / room, checkout / room)
    shutil.copy(CHECKOUT / "manage.py", checkout)
    venv = checkout / ".venv"
    venv.symlink_to(_environment(python))
    return venv / "bin" / "python"


@functools.cache
def _environment(python: str) -> Path:
    """Make an environment with the packages that serving needs, once for all tests of this run; return where it is."""
    directory = Path(tempfile.mkdtemp(prefix="stoa-v-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    directory.chmod(0o711)
    venv = directory / "venv"
    subprocess.run([python, "-m", "venv", "--without-pip", venv], check=True, timeout=within(60))
    packages = next(venv.glob("lib/python3*/site-packages"))
    wanted = re.findall(r"^([\w.-]+)==", (CHECKOUT / "requirements.lock").read_text(), re.MULTILINE)
    for package in metadata.distributions():
        if package.name.lower().replace("_", "-") in wanted:
            _copy_package(package, packages)
    return venv


def _copy_package(package: metadata.Distribution, packages: Path) -> None:
    for file in package.files or ():
        source, target = Path(str(file.locate())), packages / file
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)  # With its time: so the bytecode beside it stays good.


@functools.cache
def python_of_account() -> str:
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


def no_account() -> str:
    if os.geteuid() != 0:
        return "only root can start Stoa for another account"
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return f"this machine has no account {ACCOUNT}"
    reachable = os.stat(tempfile.gettempdir()).st_mode & 0o001
    return (
        ""
        if reachable and python_of_account()
        else f"{ACCOUNT} can run no Python {sys.version_info[0]}.{sys.version_info[1]}"
    )


class StoaOfOne(StoaOfTwo):
    """A Stoa that an ordinary account starts for itself."""

    def __init__(self, python: str) -> None:
        super().__init__(python)
        self.environment = {"HOME": str(self.directory)}
        give(self.directory)

    def manage(self, *words: str) -> list[str]:
        """Run the copy as the account."""
        account = pwd.getpwnam(ACCOUNT)
        ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        return ["setpriv", *ids, *super().manage(*words)]


class OlderStoa(StoaOfOne):
    """As on a kernel whose Landlock does not scope signals: that is all that its copy believes."""

    def __init__(self, python: str) -> None:
        super().__init__(python)
        with (self.checkout / "webapps" / "runtime" / "syscalls.py").open("a") as copied:
            copied.write("\n\n_abi = landlock_abi\n\n\ndef landlock_abi():\n    return min(_abi()[0], 5), _abi()[1]\n")


class Refused:
    """A Stoa on a machine that refuses some system calls."""

    refused = ""

    def manage(self, *words: str) -> list[str]:
        """Run it there."""
        command = super().manage(*words)  # type: ignore[misc]
        return [sys.executable, str(CHECKOUT / "tests" / "refusing.py"), self.refused, *command]


class RefusedStoa(Refused, Stoa):
    """As it is started."""


class RefusedStoaOfTwo(Refused, StoaOfTwo):
    """For another account."""


def stoa_for(whom: str, refused: str = "") -> Stoa:
    """Return a Stoa as it is started, for another account or by another account."""
    if whom == AS_STARTED:
        stoa: Stoa = RefusedStoa() if refused else Stoa()
    elif missing := no_account():
        pytest.skip(missing)
    elif whom == FOR_ANOTHER:
        stoa = RefusedStoaOfTwo(python_of_account()) if refused else StoaOfTwo(python_of_account())
    elif whom == OLDER:
        stoa = OlderStoa(python_of_account())
    else:
        stoa = StoaOfOne(python_of_account())
    if isinstance(stoa, Refused):
        stoa.refused = refused
    return stoa


def give(directory: Path) -> None:
    """Make a directory the account's."""
    account = pwd.getpwnam(ACCOUNT)
    os.chown(directory, account.pw_uid, account.pw_gid)


def need(stoa: Stoa, wall: str) -> None:
    """Skip where the report says that a wall does not hold on this machine."""
    found = wait_for(lambda: [line for line in stoa.live().get("walls", ()) if line["name"] == wall], 20)[0]
    if not found["holds"]:
        pytest.skip(f"{wall}: {found['words']}")


def host(stoa: Stoa, name: str, files: Mapping[str, str], **properties: object) -> Path:
    """Write an application's files as its account would, create it, and wait until it answers; return its directory."""
    directory = stoa.write(name.strip("/"), files)
    if isinstance(stoa, StoaOfTwo):
        for path in (directory, *directory.rglob("*")):
            give(path)
    stoa.create(f"/{name.strip('/')}", directory, **properties)
    stoa.eventually(f"/{name.strip('/')}/")
    return directory
