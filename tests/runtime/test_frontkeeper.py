"""A master of nginx that has lost its workers, and could not have others, is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.patience import within
from tests.waiting import wait_for
from webapps.runtime import frontkeeper, processes
from webapps.runtime.front import Applied
from webapps.runtime.frontkeeper import NAME, FrontKeeper


class Keeper:
    """Knows one child, and is told which signals it gets."""

    def __init__(self, pid: int) -> None:
        self.pid, self.told = pid, list[int]()

    def children(self) -> dict[str, int]:
        return {NAME: self.pid}

    def signal(self, _name: str, number: int) -> None:
        self.told.append(number)


class Front:
    """Could not have its configuration taken over."""

    def __init__(self, error: str) -> None:
        self.error = error

    def apply(self, *_wished: object, running: bool) -> Applied:
        return Applied(1, {}, self.error)


class Watched(FrontKeeper):
    """Looks after a master of the test's."""

    def __init__(self, master: int, error: str = "") -> None:
        keeper: Any = Keeper(master)
        self.keeper = self.own_keeper = keeper
        self.told: list[int] = keeper.told
        self.loop: Any = self
        self._workers = frozenset()
        self._front: Any = Front(error)
        self._tls = None

    def call(self, _then: object) -> None:
        """Say nothing."""


@pytest.fixture
def alone() -> Iterator[int]:
    """A master without any workers."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as master:
        yield master.pid
        master.kill()


@pytest.fixture
def whole() -> Iterator[int]:
    """A master with a worker."""
    with subprocess.Popen(["sh", "-c", "sleep 600 & wait"], process_group=0) as master:
        yield master.pid
        os.killpg(master.pid, signal.SIGKILL)
        master.wait(within(10))


def test_a_master_that_is_seen_without_workers_is_replaced(alone: int) -> None:
    front = Watched(alone)

    assert not front._look_at_workers()
    assert front.told == [signal.SIGKILL]


def test_one_that_takes_nothing_over_is_replaced_where_it_has_no_workers(alone: int) -> None:
    front = Watched(alone, "nginx did not take over its configuration")

    assert front._carry_out((), {}).error
    assert front.told == [signal.SIGKILL]


def test_one_with_workers_is_left_alone(whole: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontkeeper, "WORKER", b"sleep\x00600")
    wait_for(lambda: processes.titled(whole, frontkeeper.WORKER))
    front = Watched(whole, "nginx did not take over its configuration")
    front._look_at_workers()
    front._carry_out((), {})

    assert front.told == []


def test_one_that_has_just_gone_is_the_keepers_to_replace() -> None:
    front = Watched(1 << 30)
    front._look_at_workers()

    assert front.told == []
