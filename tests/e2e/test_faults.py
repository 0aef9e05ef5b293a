"""All that can happen to a Stoa, one after another, under a steady load: every request is answered once.

The requests that a killed process had in hand are counted and bounded; none of them may run twice.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.e2e.test_lifecycle import hello
from tests.e2e.test_replacement import ASGI_ECHO, ECHO, Asking, have_done
from tests.e2e.test_staying_up import everybody as everybody_of
from tests.patience import within
from tests.serving import Stoa
from tests.waiting import wait_for

SOURCES = {"a": (ECHO, 1), "b": (ECHO, 1), "c": (ECHO, 1), "d": (ASGI_ECHO, 2), "e": (ASGI_ECHO, 2)}
NAMES = [f"/faults/{letter}" for letter in SOURCES]
# Two clients for each application: one keeps its connection, one does not.
CLIENTS = 2


@pytest.fixture(scope="module")
def stoa() -> Iterator[Stoa]:
    with Stoa() as running:
        for name, (source, protocol) in zip(NAMES, SOURCES.values(), strict=True):
            running.create(name, running.write(name[1:], {"app.py": source}), WSGIType=protocol)
            running.set(name, processes_max=1)
            running.eventually(f"{name}/")
        running.create("/other", running.write("other", hello()))
        running.set("/other", sleep_after=1)
        yield running


def save_each(stoa: Stoa) -> None:
    for name in NAMES:
        stoa.command("webapp", "reload", name)


def let_another_sleep_and_wake(stoa: Stoa) -> None:
    stoa.wait_for_state("/other", "asleep", 30)
    stoa.eventually("/other/", text="hello")


def disable_another(stoa: Stoa) -> None:
    stoa.merge("ModifyApplication:Name=/other,Enabled=0")
    stoa.eventually("/other/", status=404)
    stoa.merge("ModifyApplication:Name=/other,Enabled=1")
    stoa.eventually("/other/", text="hello")


def change_the_front(stoa: Stoa) -> None:
    for number in range(3):
        stoa.create(f"/passing/{number}", stoa.home / "csp" / "other")
        stoa.eventually(f"/passing/{number}/", text="hello")
        stoa.merge(f"DeleteApplication:Name=/passing/{number}")
        stoa.eventually(f"/passing/{number}/", status=404)


def kill(victim: str, stoa: Stoa) -> None:
    """Kill one process, and wait until all that was there is there again."""
    before = everybody(stoa)
    while not is_killed(before, victim):  # It may have ended since, as a zygote does that nobody needs.
        before = everybody(stoa)
    if victim != "zygote":  # It comes back when a worker is asked for.
        wait_for(partial(is_back, stoa, victim, before), 10, lambda: f"{before} {everybody(stoa)}")


def is_killed(there: dict[str, object], victim: str) -> bool:
    found = next((value for name, value in there.items() if name.partition(":")[0] == victim), None)
    assert found, (victim, there)
    pid = found[0] if isinstance(found, list) else found
    try:
        os.kill(int(str(pid)), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def everybody(stoa: Stoa) -> dict[str, object]:
    return everybody_of(stoa, NAMES)


def is_back(stoa: Stoa, victim: str, before: dict[str, object]) -> bool:
    after = everybody(stoa)
    others = {name for name in before if name.partition(":")[0] not in (victim, "zygote")}
    return others <= after.keys() and after.get(victim) not in (None, before[victim])


# What is done, and how many requests each client may lose by it.
FAULTS: list[tuple[Callable[[Stoa], None], int]] = [
    (save_each, 0),
    (let_another_sleep_and_wake, 0),
    (disable_another, 0),
    (change_the_front, 0),
    (partial(kill, "supervisor"), 0),
    (partial(kill, "portal"), 0),
    (partial(kill, "gate"), 0),
    (partial(kill, "log"), 0),
    (partial(kill, "zygote"), 0),
    (save_each, 0),
    (partial(kill, "front"), 2),
    (partial(kill, "nginx workers"), 1),
    (partial(kill, "/faults/a"), 2),
    (partial(kill, "/faults/e"), 2),
    (save_each, 0),
]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_request_is_answered_once_whatever_happens(stoa: Stoa) -> None:
    clients = [Asking(stoa, f"{name}/", number, kept=number % 2 == 0) for number, name in enumerate(NAMES * CLIENTS)]
    for client in clients:
        client.start()

    try:
        for fault, bound in FAULTS:
            goes_on(clients)
            before = [len(client.failures) for client in clients]
            fault(stoa)
            goes_on(clients)
            lost = [client.failures[known:] for client, known in zip(clients, before, strict=True)]
            assert all(len(failures) <= bound for failures in lost), (fault, lost)
    finally:
        for client in clients:
            client.stopping = True
        for client in clients:
            client.join(within(30))

    for name in NAMES:
        ran_once(stoa, name, [client for client in clients if client.path == f"{name}/"])


def goes_on(clients: list[Asking]) -> None:
    """Wait until each client has had some answers more."""
    enough = [client.done + 10 for client in clients]
    wait_for(partial(have_done, clients, enough), 30, lambda: str([client.failures for client in clients]))


def ran_once(stoa: Stoa, name: str, clients: list[Asking]) -> None:
    """Each POST that was answered ran once; one that was lost may have run once or not at all."""
    ran = Counter((stoa.home / "csp" / name[1:] / "posts").read_text().split())
    asked = {post for client in clients for post in client.posts}
    lost = {failure.partition(":")[0] for client in clients for failure in client.failures}
    assert set(ran.values()) == {1}
    assert asked - lost <= ran.keys() <= asked
