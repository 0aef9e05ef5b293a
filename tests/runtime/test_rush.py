"""The front is scheduled in batches while there is a rush, and as everybody else before and after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from webapps.runtime.rush import BEGINS, COUNT, ENDS, Rush


def waiting() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate()


front, another = pytest.fixture(waiting, name="front"), pytest.fixture(waiting, name="another")


class Clock:
    """A rush that is looked at once a second."""

    def __init__(self, *pids: int) -> None:
        self.rush = Rush(lambda: pids)
        self.begun, self.now = 0, 100.0
        self.rush.look(self.begun, self.now)

    def second(self, requests: float, length: float = 1.0) -> None:
        self.begun += int(requests)
        self.now += length
        self.rush.look(self.begun, self.now)


def test_it_begins_and_ends_with_the_rush(front: int) -> None:
    clock = Clock(front)
    policies = []
    for requests in (0, BEGINS - 1, BEGINS + 1, ENDS + 1, ENDS - 1, ENDS + 1):
        clock.second(requests)
        policies.append(os.sched_getscheduler(front))

    other, batch = os.SCHED_OTHER, os.SCHED_BATCH
    assert policies == [other, other, batch, batch, other, other]


def test_each_process_has_a_core_of_its_own_meanwhile(front: int, another: int) -> None:
    cores = os.sched_getaffinity(0)
    clock = Clock(front, another)
    clock.second(BEGINS + 1)
    first, second = os.sched_getaffinity(front), os.sched_getaffinity(another)

    assert len(first) == len(second) == 1
    assert (first | second) <= cores
    assert (first != second) == (len(cores) > 1)

    clock.second(ENDS - 1)

    assert os.sched_getaffinity(front) == os.sched_getaffinity(another) == cores


def test_what_a_supervisor_has_left_behind_is_undone_by_the_next(front: int) -> None:
    cores = os.sched_getaffinity(0)
    Clock(front).second(BEGINS + 1)
    assert os.sched_getscheduler(front) == os.SCHED_BATCH

    Clock(front)

    assert os.sched_getscheduler(front) == os.SCHED_OTHER
    assert os.sched_getaffinity(front) == cores


def test_what_was_counted_before_is_no_rush(front: int) -> None:
    rush = Rush(lambda: [front])
    rush.look(10**6, 100.0)

    assert not rush.on


def test_ticks_that_follow_each_other_closely_are_one_count(front: int) -> None:
    clock = Clock(front)
    clock.second(BEGINS, COUNT / 3)

    assert not clock.rush.on

    clock.second(BEGINS, COUNT)

    assert clock.rush.on


def test_processes_of_a_front_that_was_reloaded_are_seen_to_and_ended_ones_do_no_harm(front: int) -> None:
    pids = [2**22 + 1]
    clock = Clock()
    clock.rush.front = lambda: pids
    clock.second(BEGINS + 1)
    assert clock.rush.on
    pids.append(front)

    clock.second(BEGINS + 1)

    assert os.sched_getscheduler(front) == os.SCHED_BATCH


def test_an_application_that_sleeps_and_counts_less_is_no_rush(front: int) -> None:
    clock = Clock(front)
    clock.second(BEGINS + 1)
    clock.second(-BEGINS)

    assert not clock.rush.on
    assert os.sched_getscheduler(front) == os.SCHED_OTHER
