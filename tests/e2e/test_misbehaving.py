"""Applications that misbehave, each by its name: Stoa and the other applications go on, and it comes back by itself."""

from __future__ import annotations

import http.client
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.asking import ask_on
from tests.e2e.test_replacement import ASGI_ECHO, ECHO
from tests.patience import within
from tests.serving import Stoa
from tests.waiting import wait_for
from webapps.runtime import processes

FIXTURES = Path(__file__).parents[1] / "fixtureapps" / "misbehaving"
NEIGHBOURS = {"/neighbour/wsgi": (ECHO, 1), "/neighbour/asgi": (ASGI_ECHO, 2)}


@pytest.fixture(scope="module")
def street() -> Iterator[Stoa]:
    """A Stoa with two applications that behave."""
    with Stoa() as stoa:
        limits = {"processes": 60, "temporary": 20 << 20}
        words = f"row = Namespace.objects.get(name='USER'); row.limits = {limits!r}; row.save()"
        stoa.command("shell", "-c", f"from webapps.models import Namespace; {words}")
        for name, (source, protocol) in NEIGHBOURS.items():
            stoa.create(name, stoa.write(name[1:], {"app.py": source}), WSGIType=protocol)
            stoa.set(name, processes_max=1)
            stoa.eventually(f"{name}/")
        yield stoa
        # Those that will not go are killed when they had their time; all of them at once, so that it is waited once.
        wait_for(lambda: left_of(stoa) == [], 40, lambda: f"{left_of(stoa)}")


@pytest.fixture
def stoa(street: Stoa) -> Iterator[Stoa]:
    """The neighbours are asked all the time: no request of theirs fails, and none of their processes is another."""
    stopping, failures, done = threading.Event(), list[str](), [0]
    clients = [
        threading.Thread(target=ask_on, args=(street, f"{name}/", stopping, failures, done, True))
        for name in NEIGHBOURS
    ]
    before = others(street)
    for client in clients:
        client.start()
    yield street
    stopping.set()
    for client in clients:
        client.join(within(30))
    assert failures == []
    assert others(street) == before


def others(stoa: Stoa) -> dict[str, object]:
    """Return the processes that have nothing to do with the one that misbehaves."""
    parts = {name: pid for name, pid in stoa.children().items() if not name.startswith("zygote")}
    return {**parts, **{name: stoa.fact(name)["pids"] for name in NEIGHBOURS}}


def place(stoa: Stoa, fixture: str, **fields: object) -> str:
    """Define the fixture's application; return its name."""
    name = f"/bad/{fixture}"
    directory = stoa.home / "csp" / "bad" / fixture
    shutil.copytree(FIXTURES / fixture, directory)
    stoa.create(name, directory, Enabled=0)
    stoa.set(name, **{"processes_max": 1, **fields, "enabled": True})
    return name


def provoke(stoa: Stoa, name: str) -> int:
    """Have it do what it does; return the status, 0 where no answer came."""
    try:
        return stoa.get(f"{name}/now", timeout=10).status
    except (OSError, http.client.HTTPException):
        return 0


@pytest.mark.parametrize(
    "fixture",
    [
        "changes_directory",
        "closes_everything",
        "closes_the_listener",
        "crashes_when_asked",
        "does_not_end",
        "fills_its_temporary_directory",
        "forks_without_end",
        "kills_its_parent",
        "leaves_children",
        "prints_without_end",
        "replaces_signal_handlers",
        "shuts_the_listener",
    ],
)
def test_it_answers_again_can_be_replaced_and_leaves_nothing(stoa: Stoa, fixture: str) -> None:
    name = place(stoa, fixture)
    stoa.eventually(f"{name}/", text="well")

    for _time in range(2):
        provoke(stoa, name)
        stoa.eventually(f"{name}/", text="well")
    before = stoa.fact(name)["generation"]
    stoa.command("webapp", "reload", name)
    stoa.eventually(f"{name}/", text="well")  # One that has just crashed is failed until it is tried again.
    assert stoa.fact(name)["generation"] == before + 1

    stoa.merge(f"DeleteApplication:Name={name}")


def left_of(stoa: Stoa) -> list[str]:
    """Return the command lines of what still works in the directory of one that misbehaves."""
    directories = {str(stoa.home / "csp" / "bad" / fixture.name) for fixture in FIXTURES.iterdir()}
    found = []
    for pid in processes.marked(stoa.run_dir):
        try:
            if str(Path(f"/proc/{pid}/cwd").readlink()) in directories:
                found.append(Path(f"/proc/{pid}/cmdline").read_text())
        except OSError:
            continue
    return found


def test_an_answer_without_end_ends_with_its_client(stoa: Stoa) -> None:
    name = place(stoa, "answers_without_end", threads=1)
    stoa.eventually(f"{name}/", text="well")

    with closing(http.client.HTTPConnection("127.0.0.1", stoa.port, timeout=within(20))) as client:
        client.request("GET", f"{name}/now")
        assert len(client.getresponse().read(50 << 20)) == 50 << 20

    stoa.eventually(f"{name}/", text="well")
    stoa.merge(f"DeleteApplication:Name={name}")


def test_one_that_hangs_at_its_import_is_stopped(stoa: Stoa) -> None:
    name = place(stoa, "hangs_at_import", start_timeout=2)

    row = stoa.wait_for_state(name, "failed")

    assert "was not ready within 2 seconds" in row["reason"]
    assert stoa.get(f"{name}/").status == 503
    stoa.merge(f"DeleteApplication:Name={name}")


def test_one_that_crashes_again_and_again_is_started_more_and_more_rarely(stoa: Stoa) -> None:
    name = place(stoa, "crashes_after_start")

    wait_for(lambda: "crashed 4 times" in stoa.fact(name)["reason"], 30, lambda: stoa.log("WSGI"))

    assert "after a pause of 4 s" in stoa.fact(name)["reason"]
    assert stoa.get(f"{name}/").status == 503
    stoa.merge(f"DeleteApplication:Name={name}")
