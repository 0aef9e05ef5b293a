"""Nothing that answers requests waits for a log: the log writer is stopped, and good and bad requests go on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.asking import ask_on, has_reached
from tests.e2e.test_replacement import ECHO
from tests.patience import within
from tests.serving import Stoa
from tests.waiting import wait_for

# What each way of being wrong makes some part of Stoa say.
BAD = [
    ("POST", "/steady/small/", {"Content-Length": "4096"}, 413),  # nginx: too large a body
    ("GET", "/steady/files/out", {}, 404),  # nginx: a link that leads out
    ("GET", "/portal/nothing", {"Host": "evil.example"}, 400),  # Django: a host that is not known
    ("GET", "/portal/nothing", {}, 404),  # Django: not found
]


@pytest.fixture
def stopped(stoa: Stoa) -> Iterator[int]:
    """A log writer that reads nothing."""
    pid = stoa.pid_of("log")
    os.kill(pid, signal.SIGSTOP)
    yield pid
    os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def sites(stoa: Stoa) -> None:
    for name in ("good", "small"):
        stoa.create(f"/steady/{name}", stoa.write(f"steady/{name}", {"app.py": ECHO}))
    files = stoa.write("steady/files", {"in": ""})
    (files / "out").symlink_to("/etc/hostname")
    stoa.merge(f'CreateApplication:Name=/steady/files,NameSpace=USER,Path="{files}",ServeFiles=1,AutheEnabled=64')
    stoa.set("/steady/small", max_body=1)
    for name in ("good", "small"):
        stoa.eventually(f"/steady/{name}/")
    stoa.eventually("/steady/files/in")


def ask_badly(stoa: Stoa, number: int) -> None:
    method, path, headers, status = BAD[number % len(BAD)]
    answer = stoa.ask(method, path, headers=headers, portal=path.startswith("/portal"))
    assert answer.status == status, (path, answer)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_log_writer_that_is_stopped_keeps_no_request_waiting(stoa: Stoa, sites: None, stopped: int) -> None:
    stopping, failures, done = threading.Event(), list[str](), [0]
    client = threading.Thread(target=ask_on, args=(stoa, "/steady/good/", stopping, failures, done, True))
    client.start()
    try:
        for number in range(1200):  # More than any pipe has room for.
            ask_badly(stoa, number)
        enough = done[0] + 200
        wait_for(lambda: has_reached(done, enough), 30)
        # What decides goes on as well: a save, a new application, the pages.
        stoa.command("webapp", "reload", "/steady/good")
        stoa.create("/steady/new", stoa.write("steady/new", {"app.py": ECHO}))
        assert stoa.eventually("/steady/new/").status == 200
        assert stoa.ask("GET", "/portal/login", portal=True).status == 200
    finally:
        stopping.set()
        client.join(within(30))

    assert failures == []
    assert stoa.pid_of("log") == stopped
