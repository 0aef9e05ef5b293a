"""Processes that an application forks within a request."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.runtime.worker_site import WorkerSite
from tests.waiting import wait_for
from webapps.runtime.spec import Protocol


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
