"""The child that a zygote has ready for the next worker: it is used once, and is never in the way."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import within
from tests.runtime.zygote_site import ZygoteSite, why_not
from tests.waiting import wait_for
from webapps.runtime import processes, walls, wire


@pytest.fixture
def site() -> Iterator[ZygoteSite]:
    if why := why_not():
        pytest.skip(why)
    with ZygoteSite() as running:
        yield running


@pytest.fixture
def means(site: ZygoteSite) -> walls.Means:
    found = site.means()
    if not found.pids:
        pytest.skip(f"this machine refuses it: {found.why_no_mounts or found.why_no_pids}")
    return found


def spare_of(site: ZygoteSite) -> int:
    """Wait until there is one; return it."""
    return wait_for(lambda: site.spares() or [0], 10)[0] or wait_for(lambda: sum(site.spares()), 10)


def test_there_is_none_before_a_worker_needed_one(site: ZygoteSite, means: walls.Means) -> None:
    site.worker(walls.Means.from_dict({**vars(means), "pids": False}))

    assert site.spares() == []


def test_it_becomes_the_next_worker_and_another_one_comes(site: ZygoteSite, means: walls.Means) -> None:
    site.worker(means)
    spare = spare_of(site)
    worker = site.worker(means)

    assert os.getsid(worker.pid) == spare
    assert processes.started_at(spare) is None
    assert spare_of(site) != spare
    assert worker.ask("who")["seen"] == [1, worker.ask("who")["pid"]]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_begins_though_it_was_killed(site: ZygoteSite, means: walls.Means, number: signal.Signals) -> None:
    first = site.worker(means)
    spare = spare_of(site)
    os.kill(spare, number)
    wait_for(lambda: processes.started_at(spare) is None)

    assert site.worker(means).ask("who") and first.ask("who")


def test_it_ends_with_the_zygote(site: ZygoteSite, means: walls.Means) -> None:
    site.worker(means)
    spare = spare_of(site)
    site.process.kill()
    site.process.wait(within(10))

    wait_for(lambda: processes.started_at(spare) is None)


def test_a_worker_that_is_forked_beside_it_cannot_speak_to_it(site: ZygoteSite, means: walls.Means) -> None:
    site.worker(means)
    spare_of(site)
    worker = site.worker(walls.Means.from_dict({**vars(means), "pids": False}))

    assert not sockets_of(worker.pid) & sockets_of(site.process.pid)


def sockets_of(pid: int) -> set[str]:
    """Return the sockets that a process holds."""
    fds = Path(f"/proc/{pid}/fd")
    return {name for fd in fds.iterdir() if (name := os.readlink(fd)).startswith("socket:")}


def test_one_that_has_not_what_the_zygote_has_learnt_is_replaced(site: ZygoteSite, means: walls.Means) -> None:
    site.worker(means)
    spare = spare_of(site)
    wire.send(site.sock, {"do": "import", "modules": []})

    wait_for(lambda: processes.started_at(spare) is None)
    wait_for(lambda: set(site.spares()) - {spare})


def test_it_has_nothing_of_the_workers_and_is_in_no_namespace(site: ZygoteSite, means: walls.Means) -> None:
    worker = site.worker(means)
    spare = spare_of(site)

    assert os.readlink(f"/proc/{spare}/ns/pid") == os.readlink("/proc/self/ns/pid")
    os.kill(worker.pid, signal.SIGKILL)
    assert site.end_of(worker) == -signal.SIGKILL
    assert site.left() == []
