"""The page that a worker and the supervisor share."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from webapps.runtime import gauge


@pytest.fixture
def pages() -> Iterator[tuple[gauge.Gauge, gauge.Gauge]]:
    """The worker's view and the supervisor's."""
    fd = gauge.make()
    yield gauge.Gauge(fd), gauge.Gauge(fd)
    os.close(fd)


Pages = tuple[gauge.Gauge, gauge.Gauge]


def test_the_supervisor_reads_what_the_worker_counts(pages: Pages) -> None:
    worker, supervisor = pages

    worker.begin()
    worker.begin()
    worker.end()
    worker.moved()
    worker.beat()

    assert (supervisor.begun, supervisor.ended, supervisor.movements) == (2, 1, 1)
    assert supervisor.last_beat > 0


def test_threads_are_counted_together_each_with_what_it_has_in_hand(pages: Pages) -> None:
    worker, supervisor = pages
    first, last = worker.steps_of(0), worker.steps_of(255)
    first[0] += 3
    last[0] += 4
    worker.begin()

    assert (supervisor.begun, supervisor.ended) == (5, 3)


def test_a_number_of_threads_that_an_application_has_written_does_no_harm(pages: Pages) -> None:
    worker, supervisor = pages
    worker.steps_of(0)[0] += 2
    worker._words[gauge.THREADS] = 2**64 - 1

    assert (supervisor.begun, supervisor.ended) == (1, 1)


def test_threads_lose_no_count(pages: Pages) -> None:
    worker, supervisor = pages

    def work(number: int) -> None:
        steps = worker.steps_of(number)
        for _number in range(20_000):
            steps[0] += 1
            steps[0] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert supervisor.begun == supervisor.ended == 80_000


def test_an_application_cannot_shrink_the_page_under_its_reader(pages: Pages) -> None:
    fd = gauge.make()
    with pytest.raises(PermissionError):
        os.ftruncate(fd, 0)
    os.close(fd)


def test_passes_are_shown_taken_back_and_revoked(pages: Pages) -> None:
    worker, supervisor = pages
    first, second, third = (worker.hold(text) for text in ("one", "two", "one"))
    worker.let_go(third)

    assert supervisor.passes() == {first: "one", second: "two"}
    supervisor.revoke({"one"})
    assert [worker.is_revoked(slot) for slot in (first, second)] == [True, False]
    assert supervisor.passes() == {second: "two"}
    worker.let_go(first)
    again = worker.hold("one")
    assert not worker.is_revoked(again)


def test_there_is_room_for_as_many_passes_as_a_worker_has_connections(pages: Pages) -> None:
    worker, supervisor = pages

    slots = [worker.hold(f"pass {number}") for number in range(gauge.SLOTS)]

    assert sorted(slots) == list(range(gauge.SLOTS))
    assert worker.hold("one more") == -1
    assert worker.hold("x" * gauge.SLOT) == -1
    assert len(supervisor.passes()) == gauge.SLOTS
