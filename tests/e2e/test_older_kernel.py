"""A whole Stoa whose workers have PID namespaces of their own, because Landlock does not scope signals there."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import OlderStoa, give, no_account, python_of_account
from tests.serving import Stoa
from tests.waiting import wait_for
from webapps.runtime import processes

NAME = "/older"
#: In how many namespaces workers are, theirs included: around the zygote there may be one more.
DEPTH: list[int] = []
WHO = """
import json, os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    seen = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [json.dumps({"says": "SAYS", "pid": os.getpid(), "seen": sorted(seen)}).encode()]
"""


@pytest.fixture(scope="module")
def older() -> Iterator[Stoa]:
    if missing := no_account():
        pytest.skip(missing)
    with OlderStoa(python_of_account()) as running:
        walls = {line["name"]: line for line in running.live()["walls"]}
        if walls["Signals to other processes"]["words"] != "PID namespace":
            pytest.skip(str(walls["Signals to other processes"]))
        write(running, "first")
        running.create(NAME, running.home / "csp" / NAME[1:])
        running.eventually(f"{NAME}/")
        DEPTH[:] = [max(map(_depth, processes.marked(running.run_dir)))]
        yield running


@pytest.fixture
def stoa(older: Stoa) -> Stoa:
    older.eventually(f"{NAME}/")
    wait_until_settled(older)
    return older


def write(stoa: Stoa, says: str) -> None:
    """Have the application say something else with its next start."""
    give(stoa.write(NAME[1:], {"app.py": WHO.replace("SAYS", says)}))


def pids(stoa: Stoa) -> list[int]:
    found: list[int] = stoa.fact(NAME)["pids"]
    return found


def beside(stoa: Stoa) -> set[int]:
    """Return the workers and the first processes of their namespaces, which are nested deepest, as /proc says."""
    return {pid for pid in processes.marked(stoa.run_dir) if _depth(pid) >= DEPTH[0] > _depth(os.getpid())}


def _depth(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next(len(line.split()) for line in lines if line.startswith("NSpid:"))


def settled(stoa: Stoa, workers: int = 1) -> bool:
    """Say whether there are so many workers, each with one process beside it, and no other."""
    known = pids(stoa)
    return len(known) == workers and set(known) < (found := beside(stoa)) and len(found) == 2 * workers


def wait_until_settled(stoa: Stoa, workers: int = 1) -> None:
    wait_for(lambda: settled(stoa, workers), 30, lambda: f"{stoa.fact(NAME)} {beside(stoa)} {stoa.log('WSGI')}")


def test_an_edit_is_saved_and_nothing_of_the_old_generation_is_left(stoa: Stoa) -> None:
    before = pids(stoa)
    write(stoa, "second")
    stoa.command("webapp", "reload", NAME)
    stoa.eventually(f"{NAME}/", text="second")

    wait_until_settled(stoa)
    assert pids(stoa) != before
    seen = json.loads(stoa.get(f"{NAME}/").text)
    assert seen["seen"] == [1, seen["pid"]]
    assert stoa.status()[NAME]["pids"] == pids(stoa)


def test_it_sleeps_without_a_process_and_wakes(stoa: Stoa) -> None:
    stoa.set(NAME, sleep_after=1)
    wait_for(lambda: stoa.fact(NAME)["state"] == "asleep" and not beside(stoa), 20, lambda: stoa.log("WSGI"))

    assert stoa.get(f"{NAME}/").status == 200
    stoa.set(NAME, sleep_after=900)
    wait_until_settled(stoa)


@pytest.mark.parametrize("whom", ["worker", "first process"])
def test_a_worker_that_is_killed_is_known_by_its_signal_and_replaced(stoa: Stoa, whom: str) -> None:
    before = pids(stoa)
    os.kill(before[0] if whom == "worker" else (beside(stoa) - set(before)).pop(), signal.SIGKILL)

    wait_for(lambda: pids(stoa) not in ([], before), 20, lambda: stoa.log("WSGI"))
    wait_until_settled(stoa)
    assert "SIGKILL" in stoa.logged("WSGI")
    stoa.eventually(f"{NAME}/")


def test_supervisor_and_zygote_can_be_killed_and_the_worker_serves_on(stoa: Stoa) -> None:
    before = pids(stoa)
    for name in ("supervisor", next(name for name in stoa.children() if name.startswith("zygote:"))):
        killed = stoa.pid_of(name)
        os.kill(killed, signal.SIGKILL)
        wait_for(lambda killed=killed: processes.started_at(killed) is None)  # type: ignore[misc]
        wait_for(lambda: stoa.fact(NAME).get("pids") == before, 20, lambda: stoa.log("messages"))
        assert stoa.get(f"{NAME}/").status == 200

    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: pids(stoa) not in ([], before), 20, lambda: stoa.log("WSGI"))
    wait_until_settled(stoa)


def test_who_takes_over_replaces_the_worker_and_leaves_nothing_of_it(stoa: Stoa) -> None:
    before = pids(stoa)
    stoa.kill()
    assert stoa.get(f"{NAME}/").status == 200
    stoa.start()

    wait_for(lambda: pids(stoa) not in ([], before), 20, lambda: stoa.log("WSGI"))
    wait_until_settled(stoa)
    assert stoa.get(f"{NAME}/").status == 200


def test_it_stops_and_nothing_is_left(stoa: Stoa) -> None:
    stoa.set(NAME, processes_min=2, processes_max=2)
    wait_until_settled(stoa, workers=2)

    assert stoa.stop() == 0
    assert processes.marked(stoa.run_dir) == []
    stoa.start()
    stoa.set(NAME, processes_min=1, processes_max=1)
