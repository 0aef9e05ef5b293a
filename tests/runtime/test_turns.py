"""Who has to wait while others start."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from webapps.runtime import processes, turns
from webapps.runtime.application import Instance, Worker
from webapps.runtime.plan import Key
from webapps.runtime.spec import AppSpec, Protocol
from webapps.runtime.turns import LOOK, SOON, TURN, WAITS, Turns

Starting = Callable[[float], Instance]


class Machine:
    """Its time, and the processor time of each process by its id."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.used: dict[int, float] = {}

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(turns, "time", made)
    monkeypatch.setattr(processes, "cpu_seconds", lambda pid: made.used.get(pid, 0.0))
    return made


@pytest.fixture
def taken(machine: Machine) -> Turns:
    """Turns on a machine of two cores."""
    made = Turns()
    made.at_once = 2
    return made


def starting(machine: Machine, *pids: int) -> list[Instance]:
    """Give newcomers that begin now, with a process each."""
    spec = AppSpec(1, 1, "/a", "", "USER", Protocol.WSGI)
    made = [Instance(spec, Key(1, "/python"), machine.now, machine.now + 60) for _pid in pids]
    for instance, pid in zip(made, pids, strict=True):
        instance.workers["a"] = Worker("a", pid)
    return made


def test_as_many_start_as_there_are_cores(machine: Machine, taken: Turns) -> None:
    both = starting(machine, 1, 2)

    assert taken.waiting(both[:1]) == ""
    assert taken.waiting(both) == WAITS


def test_who_works_has_its_turn_to_the_end(machine: Machine, taken: Turns) -> None:
    both = starting(machine, 1, 2)
    machine.now += TURN - 1
    machine.used = {1: TURN / 2, 2: TURN / 2}
    assert taken.waiting(both) == WAITS

    machine.now += 1
    assert taken.waiting(both) == ""


def test_who_waits_for_something_lets_others_start_soon(machine: Machine, taken: Turns) -> None:
    both = starting(machine, 1, 2)
    machine.used = {1: 0.05, 2: 5.0}
    machine.now += SOON / 2
    assert taken.waiting(both) == WAITS

    machine.now += SOON
    assert taken.waiting(both) == ""


def test_it_is_not_looked_at_each_question_who_works(machine: Machine, taken: Turns) -> None:
    both = starting(machine, 1, 2)
    machine.now += 2 * SOON
    machine.used = {1: 2.0, 2: 2.0}
    assert taken.waiting(both) == WAITS

    machine.used = {}
    assert taken.waiting(both) == WAITS
    machine.now += 2 * LOOK
    assert taken.waiting(both) == ""
