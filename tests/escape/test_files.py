"""An application puts at the places that Stoa looks at what nobody can read, or what is not its own to show.

Neither the portal's pages nor commands nor the supervisor wait for it or end of it, nothing of Stoa's is shown by it,
and the application beside it goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.accounts import StoaOfTwo, give, host
from tests.serving import Answer, Stoa
from tests.signing import Browser
from tests.waiting import wait_for

FILE = """
import os, shutil, socket
from urllib.parse import parse_qs

def fifo(path): os.mkfifo(path)
def zero(path): os.symlink("/dev/zero", path)
def memory(path): os.symlink("/proc/self/mem", path)
def itself(path): os.symlink(os.path.basename(path), path)
def folder(path): os.mkdir(path)
def sparse(path):
    with open(path, "wb") as file:
        file.truncate(1 << 40)
def locked(path):
    open(path, "w").close()
    os.chmod(path, 0)
def listening(path): socket.socket(socket.AF_UNIX).bind(path)
def noise(path):
    with open(path, "wb") as file:
        file.write(bytes(range(256)))
def nested(path):
    os.mkdir(path)
    here = os.open(path, os.O_DIRECTORY)
    for level in range(1500):
        os.mkdir("d", dir_fd=here)
        here, before = os.open("d", os.O_DIRECTORY, dir_fd=here), here
        os.close(before)
    os.close(here)

def application(environ, start_response):
    asked = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    answer = b"here"
    if asked:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), asked["at"])
        try:
            if os.path.lexists(path):
                os.rename(path, path + "-%d" % len(os.listdir(os.path.dirname(path))))
            os.symlink(asked["to"], path) if "to" in asked else globals()[asked["do"]](path)
        except OSError as error:
            answer = repr(error).encode()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer]
"""
THINGS = ("fifo", "zero", "memory", "itself", "folder", "sparse", "locked", "listening", "noise")


@pytest.fixture(scope="module")
def pair(stoa: Stoa) -> Iterator[Path]:
    """Two applications, the first of which puts things where it is asked to."""
    directory = host(stoa, "files-bad", {"app.py": FILE, "requirements.txt": ""})
    host(stoa, "files-good", {"app.py": FILE})
    yield directory
    stoa.set("/files-bad", enabled=False)
    stoa.set("/files-good", enabled=False)


@pytest.fixture(scope="module")
def browser(stoa: Stoa, pair: Path) -> Browser:
    found = Browser(stoa)
    found.sign_in()
    return found


def put(stoa: Stoa, at: str, do: str = "", to: str = "") -> str:
    """Have the application put a thing there; return what it met."""
    what = f"to={quote(to)}" if to else f"do={do}"
    return stoa.get(f"/files-bad/?at={quote(at)}&{what}").text
