"""An application puts at the places that Stoa looks at what nobody can read, or what is not its own to show.

Neither the portal's pages nor commands nor the supervisor wait for it or end of it, nothing of Stoa's is shown by it,
and the application beside it goes on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.accounts import StoaOfOne, host
from tests.serving import Answer, Stoa
from tests.signing import run
from tests.waiting import wait_for
from webapps.runtime import control, removal

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
# Said into every descriptor that it has: the pipe on which a newcomer says that it is ready is one of them.
BABBLER = """
import os, stat
for fd in range(3, 64):
    try:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.write(fd, {words!r})
    except OSError:
        pass
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"here"]
"""
# Whoever accepts at its socket waits until somebody comes.
WAITER = """
import fcntl, os, stat
for fd in range(3, 64):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_NONBLOCK)
    except OSError:
        pass
raise RuntimeError("no start")
"""
THINGS = ("fifo", "zero", "memory", "itself", "folder", "sparse", "locked", "listening", "noise")


class Administrator:
    """Who is signed in to the portal."""

    def __init__(self, stoa: Stoa) -> None:
        self.stoa = stoa
        session = run(
            stoa,
            "from django.test import Client\nclient = Client()\n"
            "client.force_login(User.objects.get(username='admin'))\nresult = client.cookies['stoa_session'].value",
        )
        self.headers = {"Cookie": f"stoa_session={session}"}

    def get(self, path: str) -> Answer:
        return self.stoa.ask("GET", f"/portal/{path}", portal=True, headers=self.headers)

    def press(self, page: str, path: str) -> Answer:
        """Press the button of a page's form that posts to a path; return the page that comes then."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(page).text)
        assert token
        form = {**self.headers, "Content-Type": "application/x-www-form-urlencoded"}
        body = f"csrfmiddlewaretoken={token[1]}".encode()
        answer = self.stoa.ask("POST", f"/portal/{path}", portal=True, headers=form, body=body)
        assert answer.status == 302, answer.text
        return self.get(answer.headers["location"].removeprefix("/portal/"))


@pytest.fixture(scope="module")
def directory(stoa: Stoa) -> Iterator[Path]:
    """Where an application lies that puts things where it is asked to; another one, /files-good, is beside it."""
    found = host(stoa, "files-bad", {"app.py": FILE, "requirements.txt": "idna\n"})
    host(stoa, "files-good", {"app.py": FILE})
    pid = stoa.live()["supervisor"]["pid"]
    yield found
    assert stoa.live()["supervisor"]["pid"] == pid, stoa.log("messages")
    assert stoa.eventually("/files-good/").text == "here"
    stoa.set("/files-bad", enabled=False)
    removal.remove(found)  # What is there is deeper than what removes the home goes.


@pytest.fixture(scope="module")
def administrator(stoa: Stoa, directory: Path) -> Administrator:
    return Administrator(stoa)


def put(stoa: Stoa, at: str, do: str = "", to: str = "") -> None:
    """Have the application put a thing there."""
    what = f"to={quote(to)}" if to else f"do={do}"
    assert stoa.eventually(f"/files-bad/?at={quote(at)}&{what}").text == "here"


def readers(stoa: Stoa, kind: str) -> str:
    """Name what Stoa reads, or "": root reads a file without permissions."""
    return "" if kind == "locked" and os.geteuid() == 0 and not isinstance(stoa, StoaOfOne) else kind


@pytest.mark.parametrize("thing", THINGS)
def test_a_thing_as_requirements_holds_up_nobody(stoa: Stoa, administrator: Administrator, thing: str) -> None:
    put(stoa, "requirements.txt", thing)
    address = f"webapps/{stoa.key_of('/files-bad')}/install"
    page = administrator.get(address)
    assert page.status == 200 and "requirements.txt" in page.text
    if thing in ("sparse", "noise") or not readers(stoa, thing):
        return
    assert re.search(r"requirements\.txt (is a|cannot be read)", page.text), page.text
    assert "Install into USER" not in page.text
    path = str(stoa.home / "csp" / "files-bad" / "requirements.txt")
    asked = {"do": "install", "label": "/x", "namespace": "USER", "requirements": path, "labels": []}
    assert "error" in control.ask(stoa.run_dir, asked)
    assert stoa.get("/files-good/").text == "here"


@pytest.mark.parametrize("secret", ["secret_key", "db.sqlite3", "run/serving.json"])
def test_a_link_shows_nothing_of_stoas(stoa: Stoa, administrator: Administrator, secret: str) -> None:
    words = (stoa.home / secret).read_bytes()[:16].decode(errors="replace")
    put(stoa, "requirements.txt", to=str(stoa.home / secret))
    page = administrator.get(f"webapps/{stoa.key_of('/files-bad')}/install").text
    assert "is a link" in page and words not in page
    put(stoa, "sub", "folder")
    put(stoa, "sub", to=str(stoa.home))
    if "." not in secret:
        return  # No such name is a script's.
    place = f'NameSpace=USER,WSGIAppLocation="{stoa.home}/csp/files-bad",WSGIAppName=sub/{secret}'
    name = f"/files-{secret.replace('/', '-')}"
    said = stoa.merge(f"CreateApplication:Name={name},{place},AutheEnabled=64", check=False)
    wait_for(lambda: stoa.get(f"{name}/").status == 503, 20, lambda: stoa.log("messages"))
    assert words not in said + administrator.get(f"webapps/{stoa.key_of(name)}/").text
    stoa.set(name, enabled=False)


def test_the_command_that_installs_says_why_it_cannot(stoa: Stoa, directory: Path) -> None:
    put(stoa, "requirements.txt", "fifo")
    said = stoa.command("webapp", "install", "/files-bad", check=False)
    assert said.returncode and "requirements.txt is a pipe (FIFO)" in said.stderr, said


def test_things_among_its_files_with_debug_end_nothing(
    stoa: Stoa, administrator: Administrator, directory: Path
) -> None:
    stoa.set("/files-bad", debug=True)
    for thing in (*THINGS, "nested"):
        for ending in (".py", ".wsgi", ""):
            put(stoa, f"thing_{thing}{ending}", thing)
    pk = stoa.key_of("/files-bad")
    for page in ("", f"webapps/{pk}/", f"webapps/{pk}/edit", "system"):
        assert administrator.get(page).status == 200
    # The modules that are there are listed where one is named that is not.
    said = stoa.merge(
        f'CreateApplication:Name=/files-none,NameSpace=USER,WSGIAppName=none,WSGIAppLocation="{directory}"', check=False
    )
    assert "app" in said
    (directory / "module.py").touch()
    wait_for(lambda: "its files were edited" in stoa.logged("WSGI"), 20, lambda: stoa.log("messages"))
    assert stoa.eventually("/files-bad/").text == "here"


def test_a_module_that_nobody_can_read_is_its_own_failure(stoa: Stoa, administrator: Administrator) -> None:
    host(stoa, "files-module", {"app.py": FILE.replace("files-bad", "files-module")})
    path = stoa.home / "csp" / "files-module" / "app.py"
    path.rename(path.with_suffix(".old"))
    os.mkfifo(path)
    assert stoa.command("webapp", "reload", "/files-module", check=False).returncode
    pk = stoa.key_of("/files-module")
    assert "no module" in administrator.get(f"webapps/{pk}/").text
    path.unlink()
    path.with_suffix(".old").rename(path)
    again = administrator.press(f"webapps/{pk}/", f"webapps/{pk}/reload")
    assert again.status == 200
    assert stoa.eventually("/files-module/").text == "here"


WORDS = (
    b'{"ready": true, "modules": 5}',
    b'{"ready": false}',
    b'{"ready": false, "reason": "\\ud800"}',
    b"[" * 60_000,
    b"5",
)


@pytest.mark.parametrize("words", WORDS, ids=range(len(WORDS)))
def test_what_it_says_as_a_newcomer_ends_nothing(
    stoa: Stoa, administrator: Administrator, directory: Path, words: bytes
) -> None:
    name = f"files-words-{WORDS.index(words)}"
    place = stoa.write(name, {"app.py": BABBLER.format(words=words)})
    stoa.create(f"/{name}", place)
    wait_for(lambda: stoa.get(f"/{name}/").status != 404, 20, lambda: stoa.log("messages"))
    assert administrator.get(f"webapps/{stoa.key_of(f'/{name}')}/").status == 200
    assert stoa.get("/files-good/").text == "here"
    stoa.set(f"/{name}", enabled=False)


def test_a_socket_at_which_one_waits_holds_up_nobody(stoa: Stoa, directory: Path) -> None:
    place = stoa.write("files-waiter", {"app.py": WAITER})
    stoa.create("/files-waiter", place)
    assert stoa.eventually("/files-waiter/", 503).status == 503
    stoa.command("webapp", "reload", "/files-good")
    assert stoa.get("/files-waiter/").status == 503
    stoa.set("/files-waiter", enabled=False)
