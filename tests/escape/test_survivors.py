"""What an application has started ends with it: whatever it calls itself, and however the application ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.accounts import host, need
from tests.serving import CHECKOUT, Stoa
from tests.waiting import wait_for
from webapps.runtime import processes

WALL = "Limits and priorities of other processes"
NAME = "/escape/survivors"
FIXTURE = (CHECKOUT / "tests" / "fixtureapps" / "survivors" / "app.py").read_text()


@pytest.fixture
def leaving(stoa: Stoa) -> Stoa:
    need(stoa, WALL)
    if not stoa.keys.get(NAME):
        host(stoa, NAME, {"app.py": FIXTURE})
        stoa.set(NAME, processes_max=1)
    stoa.eventually(f"{NAME}/", text="well")
    return stoa


def started(stoa: Stoa) -> dict[int, str]:
    """Have it start its processes, each in another way; return them by their id outside."""
    word = os.urandom(4).hex()  # A process's name has 15 characters.
    ways = json.loads(stoa.get(f"{NAME}/?word={word}").text)
    found = {}
    for number, way in enumerate(ways):
        pid = wait_for(lambda number=number: called(f"sleep-{word}{number}"), 20, way)  # type: ignore[misc]
        found[pid] = way
    return found


def called(name: str) -> int:
    """Return the process that has this name on its command line or for itself, 0 where there is none."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit() and name.encode() in _names(directory):
            return int(directory.name)
    return 0


def _names(directory: Path) -> list[bytes]:
    try:
        return [(directory / "comm").read_bytes().strip(), *(directory / "cmdline").read_bytes().split(b"\0")]
    except OSError:
        return []


def left_of(pids: dict[int, str]) -> list[str]:
    return [way for pid, way in pids.items() if processes.started_at(pid) is not None]


def disable(stoa: Stoa) -> None:
    stoa.set(NAME, enabled=False)


def delete(stoa: Stoa) -> None:
    stoa.merge(f"DeleteApplication:Name={NAME}")
    stoa.keys.pop(NAME)


def reload(stoa: Stoa) -> None:
    stoa.command("webapp", "reload", NAME)
    stoa.eventually(f"{NAME}/", text="well")


def kill_the_worker(stoa: Stoa) -> None:
    os.kill(stoa.fact(NAME)["pids"][0], signal.SIGKILL)


def stop(stoa: Stoa) -> None:
    assert stoa.stop() == 0


def kill_the_keeper_and_start_again(stoa: Stoa) -> None:
    stoa.kill()
    stoa.start()


ENDS = (reload, kill_the_worker, disable, delete, stop, kill_the_keeper_and_start_again)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_nothing_outlives_the_application(leaving: Stoa, end: Callable[[Stoa], None]) -> None:
    pids = started(leaving)
    assert sorted(left_of(pids)) == sorted(pids.values())
    end(leaving)
    try:
        wait_for(lambda: left_of(pids) == [], 30, lambda: f"{left_of(pids)} after {end.__name__}")
    finally:
        come_back(leaving, end)


def come_back(stoa: Stoa, end: Callable[[Stoa], None]) -> None:
    """Have all as it was, for the other tests of this Stoa."""
    if end is stop:
        stoa.start()
    elif end is disable:
        stoa.set(NAME, enabled=True)


def test_without_a_pid_namespace_nothing_outlives_the_stop() -> None:
    with Stoa(STOA_WALLS="0") as bare:
        host(bare, NAME, {"app.py": FIXTURE})
        pids = started(bare)
        stop(bare)

        assert left_of(pids) == []
