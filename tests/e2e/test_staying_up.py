"""Each process is killed in turn under a steady load: it is back within two seconds, and nothing else restarts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tests.asking import ask_on, has_reached
from tests.e2e.test_replacement import ASGI_ECHO, ECHO
from tests.patience import within
from tests.serving import Stoa
from tests.waiting import stays_untrue, wait_for
from webapps.runtime import processes

NAMES = {"/up/wsgi": (ECHO, 1), "/up/asgi": (ASGI_ECHO, 2), "/up/other": (ECHO, 1)}
CLIENTS = 2


@pytest.fixture(scope="module")
def applications() -> Iterator[Stoa]:
    """Three applications that run, in a Stoa where nothing else can change the front."""
    with Stoa() as stoa:
        for name, (source, protocol) in NAMES.items():
            stoa.create(name, stoa.write(name[1:], {"app.py": source}), WSGIType=protocol)
            stoa.set(name, processes_max=1)  # What is started because of the load is another test's.
            stoa.eventually(f"{name}/")
        yield stoa


@contextmanager
def steady_load(stoa: Stoa, failures: list[str]) -> Iterator[list[int]]:
    """GET and POST all applications with counted bodies until the block ends; yield how many were answered."""
    stopping, done = threading.Event(), [0]
    clients = [
        threading.Thread(target=ask_on, args=(stoa, f"{name}/", stopping, failures, done, bool(number)))
        for name in NAMES
        for number in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    try:
        yield done
    finally:
        stopping.set()
        for client in clients:
            client.join(within(30))


def group(pid: int) -> int:
    """Return a process's group, 0 where it has ended meanwhile: what builds a worker's root does so soon."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def everybody(stoa: Stoa, names: Iterable[str] = NAMES) -> dict[str, object]:
    """Return every process by what it is; what is not there just now is left out."""
    found: dict[str, object] = dict(stoa.children())
    for name in names:
        found[name] = stoa.fact(name).get("pids") or None
    master = found.get("front")
    workers = [pid for pid in processes.marked(stoa.run_dir) if group(pid) == master and pid != master]
    found["nginx workers"] = sorted(workers)
    return {name: value for name, value in found.items() if value}


def child(name: str) -> Callable[[dict[str, object]], object]:
    return lambda before: next(pid for key, pid in before.items() if key.partition(":")[0] == name)


def an_nginx_worker(before: dict[str, object]) -> object:
    workers = before["nginx workers"]
    assert isinstance(workers, list)
    return workers[0]


def an_application_worker(before: dict[str, object]) -> object:
    pids = before["/up/wsgi"]
    assert isinstance(pids, list)
    return pids[0]


# What is killed, what may have another process id afterwards, and how many requests of each client may be lost.
CASES = [
    pytest.param(child("supervisor"), {"supervisor"}, 0, id="supervisor"),
    pytest.param(child("portal"), {"portal"}, 0, id="portal"),
    pytest.param(child("gate"), {"gate"}, 0, id="gate"),
    pytest.param(child("log"), {"log"}, 0, id="log writer"),
    pytest.param(child("zygote"), {"zygote"}, 0, id="zygote"),
    pytest.param(child("front"), {"front", "nginx workers"}, 2, id="nginx master"),
    pytest.param(an_nginx_worker, {"nginx workers"}, 1, id="nginx worker"),
    pytest.param(an_application_worker, {"/up/wsgi"}, 2, id="worker"),
]


@pytest.mark.parametrize(("victim", "renewed", "lost"), CASES)
def test_it_is_back_within_two_seconds_and_nothing_else_restarts(
    applications: Stoa, victim: Callable[[dict[str, object]], object], renewed: set[str], lost: int
) -> None:
    stoa, failures = applications, list[str]()
    if "zygote" in renewed:
        stoa.command("webapp", "reload", "/up/other")  # There is one for certain now.
    wait_for(partial(stays_settled, stoa), 60, lambda: str(everybody(stoa)))
    with steady_load(stoa, failures) as done:
        wait_for(partial(has_reached, done, 50), 20)
        before = everybody(stoa)
        pid = victim(before)
        assert isinstance(pid, int)

        os.kill(pid, signal.SIGKILL)

        if "zygote" in renewed:  # It comes back when a worker is asked for; here another would be started in vain.
            wait_for(lambda: pid not in stoa.children().values(), 2, lambda: f"{pid} {stoa.children()}")
        else:
            wait_for(partial(is_healed, stoa, before, renewed), 2, lambda: f"{before} {everybody(stoa)}")
        wait_for(partial(has_reached, done, done[0] + 50), 20, lambda: str(failures))

    assert len(failures) <= lost * CLIENTS * len(NAMES), failures
    after = everybody(stoa)
    same = {key for key in before if key.partition(":")[0] not in renewed}
    assert {key: after.get(key) for key in same} == {key: before[key] for key in same}


def stays_settled(stoa: Stoa) -> bool:
    """Say whether all is there and stays: after the end of a worker nginx is told to count anew, with other workers."""
    before = everybody(stoa)
    return is_settled(before) and stays_untrue(lambda: everybody(stoa) != before, 6, 0.2)


def is_settled(found: dict[str, object]) -> bool:
    """Say whether all is there, and none of the workers that nginx has replaced: they stay for what they have open."""
    workers = found.get("nginx workers")
    few = isinstance(workers, list) and len(workers) == max(1, min(8, os.cpu_count() or 1))
    return few and {*NAMES, "front", "portal", "gate", "log"} <= found.keys()


def is_healed(stoa: Stoa, before: dict[str, object], renewed: set[str]) -> bool:
    """Say whether all that was there is there again, and the victim's part with another process."""
    after = everybody(stoa)
    return before.keys() <= after.keys() and all(after[key] != before[key] for key in renewed)
