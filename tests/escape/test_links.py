"""Links that hosted code puts in the place of its directories, in the hope that Stoa follows them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.accounts import StoaOfTwo, give, host, need
from tests.serving import Stoa
from tests.waiting import wait_for

APP = """
import os, threading
from urllib.parse import parse_qs

HERE = os.path.dirname(os.path.abspath(__file__))


def put(link, target):
    path = os.path.join(HERE, link)
    if os.path.lexists(path):
        os.rename(path, f"{path}-{os.urandom(4).hex()}")
    os.symlink(target, path)


def swap(link, target):
    real, fake = os.path.join(HERE, "real"), os.path.join(HERE, "fake")
    os.symlink(target, fake)
    path = os.path.join(HERE, link)

    def swapping():
        while True:
            os.rename(path, real)
            os.rename(fake, path)
            os.rename(path, fake)
            os.rename(real, path)

    threading.Thread(target=swapping, daemon=True).start()


def join(link, target):
    os.link(target, os.path.join(HERE, link))


def listing(target, _=""):
    return os.listdir(target)


def reading(target, _=""):
    return open(target).read()


def writing(target, _=""):
    open(target, "w").close()


DO = {"put": put, "swap": swap, "join": join, "listing": listing, "reading": reading, "writing": writing}


def application(environ, start_response):
    asked = parse_qs(environ["QUERY_STRING"])
    said = "here"
    if "do" in asked:
        try:
            said = f"done {DO[asked['do'][0]](*asked['with'])}"
        except OSError as error:
            said = f"{type(error).__name__}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said.encode()]
"""
FILES = {"app.py": APP, "static/own.txt": "own", "releases/5/own.txt": "five", "releases/6/own.txt": "six"}
SECRET = "the secret of another"  # noqa: S105


@pytest.fixture(scope="module")
def other(stoa: Stoa) -> Path:
    """An application of another namespace, with what is nobody else's."""
    if "OTHER" not in stoa.command("shell", "-c", NAMES).stdout:
        stoa.command("shell", "-c", OTHER)
    directory = stoa.write("links-other", {"app.py": APP, "secret.txt": SECRET, "own.txt": SECRET})
    _give_all(stoa, directory)
    stoa.create("/links-other", directory)
    stoa.set("/links-other", namespace_id=int(stoa.command("shell", "-c", KEY).stdout.split()[-1]))
    stoa.eventually("/links-other/")
    return directory


NAMES = "from webapps.models import *; print(*Namespace.objects.values_list('name', flat=True))"
OTHER = (
    "from webapps.models import *; n = Namespace.objects.get(name='USER'); "
    "Namespace.objects.create(name='OTHER', interpreter=n.interpreter)"
)
KEY = "from webapps.models import *; print(Namespace.objects.get(name='OTHER').pk)"


def _give_all(stoa: Stoa, directory: Path) -> None:
    if isinstance(stoa, StoaOfTwo):
        for path in (directory, *directory.rglob("*")):
            give(path)


@pytest.fixture
def name(stoa: Stoa, request: pytest.FixtureRequest) -> Iterator[str]:
    """An application of its own for each test."""
    name = f"/links-{abs(hash(request.node.name)) % 10**8}"
    host(stoa, name, FILES)
    assert stoa.get(f"{name}/static/own.txt").text == "own"
    yield name
    stoa.merge(f"DeleteApplication:Name={name}")


def do(stoa: Stoa, name: str, what: str, *words: object) -> str:
    """Have the application do it; return what it met."""
    query = urlencode([("do", what), *(("with", str(word)) for word in words)])
    return stoa.get(f"{name}/?{query}").text


def begin_anew(stoa: Stoa, name: str) -> None:
    """Save it once more: another generation starts."""
    stoa.set(name, description=os.urandom(4).hex())


def _wait_for_reason(stoa: Stoa, name: str, words: str) -> None:
    wait_for(lambda: words in stoa.fact(name)["reason"], 20, lambda: str(stoa.fact(name)))


def targets(stoa: Stoa, other: Path) -> dict[str, str]:
    """Name what is worth reading, and what stands in it."""
    return {str(other): "secret.txt", str(stoa.home): "secret_key", "/etc": "shadow", str(stoa.run_dir): "keeper.sock"}


def test_a_link_in_the_place_of_static_is_not_followed(stoa: Stoa, other: Path, name: str) -> None:
    for target, file in targets(stoa, other).items():
        assert do(stoa, name, "put", "static", target) == "done None"

        assert stoa.get(f"{name}/static/{file}").text == "here"
        _wait_for_reason(stoa, name, f"static is a link to {target}")


def test_a_link_further_up_is_not_followed(stoa: Stoa, other: Path, name: str) -> None:
    directory = stoa.home / "csp" / name[1:]
    stoa.set(name, path=f"{directory}/releases/5")
    stoa.eventually(f"{name}/static/own.txt", text="five")
    os.symlink(other, other.parent / "links-aside") if not (other.parent / "links-aside").is_symlink() else None
    assert do(stoa, name, "put", "releases", other.parent) == "done None"

    assert stoa.get(f"{name}/static/own.txt").text == "here"


def test_a_link_that_comes_and_goes_is_followed_at_no_moment(stoa: Stoa, other: Path, name: str) -> None:
    assert do(stoa, name, "swap", "static", other) == "done None"

    seen = {stoa.get(f"{name}/static/own.txt").text for _ in range(1000)}

    assert seen <= {"own", "here"}
    assert "own" in seen


def test_a_start_refuses_such_a_link_and_says_why(stoa: Stoa, other: Path, name: str) -> None:
    for target in (str(other), str(stoa.home), str(stoa.run_dir / "front")):
        assert do(stoa, name, "put", "static", target) == "done None"

        begin_anew(stoa, name)

        wait_for(lambda: stoa.fact(name)["failed_generation"])
        fact = stoa.fact(name)
        path = stoa.home / "csp" / name[1:] / "static"
        assert f"{path} is a link to {target}" in fact["reason"]
        assert "static is a link" in stoa.status()[name]["reason"]
        assert do(stoa, name, "listing", target) != f"done {os.listdir(target)}"


def test_what_such_a_link_leads_to_is_not_written(stoa: Stoa, other: Path, name: str) -> None:
    need(stoa, "Files")
    assert do(stoa, name, "put", "static", other) == "done None"
    begin_anew(stoa, name)

    assert do(stoa, name, "writing", other / "was-here") != "done None"
    assert do(stoa, name, "reading", other / "secret.txt") == "FileNotFoundError"
    assert not (other / "was-here").exists()


def test_no_second_name_of_anothers_file_is_made(stoa: Stoa, other: Path, name: str) -> None:
    need(stoa, "Files")
    for target in (other / "secret.txt", stoa.home / "secret_key"):
        assert "Error" in do(stoa, name, "join", "static/own2.txt", target)

        assert stoa.get(f"{name}/static/own2.txt").text == "here"


def test_links_that_stay_inside_are_served(stoa: Stoa, name: str) -> None:
    directory = stoa.home / "csp" / name[1:]
    do(stoa, name, "put", "static", "releases/5")
    stoa.eventually(f"{name}/static/own.txt", text="five")
    do(stoa, name, "put", "static", directory / "releases" / "6")
    stoa.eventually(f"{name}/static/own.txt", text="six")

    begin_anew(stoa, name)

    assert not stoa.fact(name)["failed_generation"]
    assert stoa.get(f"{name}/static/own.txt").text == "six"


def test_links_among_the_files_are_served(stoa: Stoa, name: str) -> None:
    directory = stoa.write(name[1:], {"static/releases/5/own.txt": "five", "static/releases/6/own.txt": "six"})
    _give_all(stoa, directory / "static")
    do(stoa, name, "put", "static/current", "releases/5")
    do(stoa, name, "put", "static/out.txt", "../app.py")
    begin_anew(stoa, name)
    stoa.eventually(f"{name}/static/current/own.txt", text="five")

    do(stoa, name, "put", "static/current", "releases/6")

    stoa.eventually(f"{name}/static/current/own.txt", text="six")
    assert stoa.get(f"{name}/static/out.txt").text == "here"


def test_a_directory_that_is_a_link_among_its_releases_is_started(stoa: Stoa) -> None:
    directory = stoa.write("links-current", {"releases/5/app.py": APP, "releases/5/static/own.txt": "five"})
    (directory / "current").symlink_to("releases/5")
    _give_all(stoa, directory)
    stoa.create("/links-current", directory / "current")
    stoa.eventually("/links-current/", text="here")

    assert stoa.get("/links-current/static/own.txt").text == "five"


def test_of_files_only_the_state_says_it(stoa: Stoa, other: Path, name: str) -> None:
    directory = stoa.home / "csp" / name[1:]
    stoa.merge(
        f'CreateApplication:Name={name}-files,NameSpace=USER,Path="{directory}/static",ServeFiles=1,AutheEnabled=64'
    )
    stoa.eventually(f"{name}-files/own.txt", text="own")
    do(stoa, name, "put", "static", other)

    assert stoa.get(f"{name}-files/own.txt").status == 404
    assert f"static is a link to {other}" in stoa.wait_for_state(f"{name}-files", "failed")["reason"]
    stoa.merge(f"DeleteApplication:Name={name}-files")
