"""Processes that an application forks within a request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import within
from tests.runtime.worker_site import WorkerSite
from tests.waiting import wait_for
from webapps.runtime.spec import Protocol

ROOT = Path(__file__).parents[2]
DAEMON = """
import os, socket, sys
from webapps.runtime import forked

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
forked.prepare([], listener, lambda: None)
child = os.fork()
if child == 0:
    gone = os.fstat(listener.fileno()).st_rdev != 0  # It is /dev/null.
    os.closerange(3, 1024)
    ours, theirs = socket.socketpair()
    grandchild = os.fork()
    if grandchild == 0:
        theirs.send(b"from the grandchild")
        os._exit(0)
    os.waitpid(grandchild, 0)
    ours.settimeout(5)
    print(gone, ours.recv(100).decode(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.fixture(params=[Protocol.WSGI, Protocol.ASGI], ids=["wsgi", "asgi"])
def site(request: pytest.FixtureRequest) -> Iterator[WorkerSite]:
    with WorkerSite("forking", protocol=request.param) as running:
        yield running


@pytest.mark.parametrize(("path", "status"), [("/exits", b"3"), ("/raises", b"1"), ("/returns", b"0")])
def test_a_child_that_comes_back_ends_and_answers_nothing(site: WorkerSite, path: str, status: bytes) -> None:
    with site.client() as client:
        for _time in range(5):
            assert client.request(f"GET {path}").body == status
        assert client.is_open()

    wait_for(lambda: (site.gauge.begun, site.gauge.ended) == (5, 5), 10)
    assert ("RuntimeError: this child does not know" in site.printed()) == (path == "/raises")


def test_a_child_that_works_on_keeps_no_connection_open(site: WorkerSite) -> None:
    with site.client() as other, site.client() as client:
        child = int(client.request("GET /works").body)
        try:
            site.process.kill()

            assert client.ended() and other.ended()
            os.kill(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_daemon_that_closes_all_and_forks_again_keeps_its_own_sockets(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DAEMON, str(tmp_path / "s")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=within(30),
        check=False,
    )

    assert (done.stdout, done.stderr) == ("True from the grandchild\n", "")
