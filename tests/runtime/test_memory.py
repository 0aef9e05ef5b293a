"""What a process takes is asked no oftener than it can be afforded, and nobody waits for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from tests.patience import within
from webapps.runtime import processes
from webapps.runtime.memory import REST, Memory


class Counted:
    """A count that goes on until the test ends it, and a clock that is the test's."""

    def __init__(self) -> None:
        self.now, self.times = 100.0, 0
        self.goes_on = threading.Semaphore(0)
        self.memory = Memory(self._count, lambda: self.now)

    def _count(self, _pid: int) -> int:
        self.times += 1
        assert self.goes_on.acquire(timeout=within(10))
        return 1000 + self.times

    def reading(self) -> int:
        return self.memory.reading(os.getpid(), 1)

    def ends(self, after: float) -> None:
        self.now += after
        self.goes_on.release()
        assert self.memory.thread
        self.memory.thread.join(within(10))

    def close(self) -> None:
        """End what is still being counted."""
        self.goes_on.release(10)
        if self.memory.thread:
            self.memory.thread.join(within(10))


@pytest.fixture
def slow() -> Iterator[Counted]:
    made = Counted()
    yield made
    made.close()


def test_who_asks_does_not_wait_until_it_is_counted(slow: Counted) -> None:
    assert [slow.reading(), slow.reading()] == [0, 0]
    slow.ends(after=2.0)
    assert slow.reading() == 1001
    assert slow.times == 1


def test_the_next_count_comes_after_many_times_what_the_last_one_took(slow: Counted) -> None:
    slow.reading()
    slow.ends(after=2.0)
    slow.now += 2.0 * REST - 1.0
    slow.reading()
    assert slow.times == 1
    slow.now += 2.0

    assert slow.reading() == 1001
    slow.ends(after=0.0)
    assert slow.reading() == 1002


def test_what_is_resident_is_good_enough_as_long_as_it_is_little(slow: Counted) -> None:
    assert 0 < slow.memory.reading(os.getpid(), 1 << 40) < 1 << 40
    assert slow.memory.thread is None
    assert processes.memory(os.getpid()) > 0


def test_a_process_that_has_gone_takes_nothing() -> None:
    assert processes.resident(1 << 30) == processes.memory(1 << 30) == Memory().reading(1 << 30, 0) == 0
