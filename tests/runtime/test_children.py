"""The keeper's children: real processes, collected as the keeper collects them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.patience import within
from webapps.runtime.children import Child, Children, Room

SLEEPER = ["/bin/sleep", "60"]


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def pids() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def children(tmp_path: Path, notes: list[str], pids: list[tuple[str, int]]) -> Iterator[Children]:
    made = Children(
        Room(
            tmp_path,
            {},
            "",
            _no_descriptors,
            _nowhere,
            lambda level, text: notes.append(text),
            lambda name, pid: pids.append((name, pid)),
        )
    )
    yield made
    for child in made.by_pid().values():
        child.send(signal.SIGKILL)
        assert child.process
        child.process.wait(within(10))


def _no_descriptors(_keys: Iterable[str]) -> dict[str, int]:
    return {}


def _nowhere(_name: str) -> int:
    return os.open(os.devnull, os.O_WRONLY)


def started(children: Children, name: str = "part", argv: Iterable[str] = SLEEPER, *, again: bool = True) -> Child:
    child = Child(name, list(argv), {}, again=again)
    children.add(child)
    children.start(child)
    return child


def end(child: Child) -> None:
    """Kill a child and wait until the kernel has its end, without collecting it."""
    assert child.process
    os.kill(child.process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)


def collect(children: Children, child: Child) -> None:
    """Collect a child as the keeper does."""
    assert child.process
    pid, status = os.waitpid(child.process.pid, 0)
    child.process.returncode = os.waitstatus_to_exitcode(status)
    children.ended(children.by_pid().get(pid, child), child.process.returncode)


def test_a_child_that_ends_is_started_again_and_that_is_said(children: Children, notes: list[str]) -> None:
    child = started(children)
    assert child.process
    before = child.process.pid

    end(child)
    collect(children, child)
    children.start_due()

    assert children.pids()["part"] != before
    assert notes == ["part ended with status -9 and is started again"]


def test_one_that_ends_soon_is_started_after_a_pause_that_doubles(children: Children) -> None:
    child = started(children, argv=["/bin/true"])
    for pause in (0.0, 0.1, 0.2, 0.4):
        began = time.monotonic()
        collect(children, child)
        assert began + pause <= child.due <= time.monotonic() + pause
        children.start(child)


@pytest.mark.parametrize("verb", ["stop", "signal"])
def test_a_child_that_has_just_ended_is_still_collected_after_a_signal(children: Children, verb: str) -> None:
    child = started(children, again=False)
    end(child)

    if verb == "stop":
        children.stop("part")
    else:
        children.signal("part", signal.SIGHUP)
    collect(children, child)

    assert children.pids() == {} and not children.has("part")


def test_the_name_of_one_that_is_stopped_is_free_while_it_still_runs(children: Children) -> None:
    old = started(children, argv=["/bin/sh", "-c", "trap '' TERM; sleep 60"], again=False)
    children.stop("part")
    assert not children.has("part")

    new = started(children)
    end(old)
    collect(children, old)

    assert new.process and children.pids() == {"part": new.process.pid}


def test_one_that_cannot_be_started_is_said_and_tried_later(children: Children, notes: list[str]) -> None:
    child = started(children, argv=["/nowhere/at/all"])

    assert "part cannot be started" in notes[0]
    assert children.pids() == {}
    children.start_due()
    assert len(notes) == 2 and child.pause > 0


def test_one_that_is_to_be_started_once_and_cannot_has_ended(children: Children, notes: list[str]) -> None:
    started(children, argv=["/nowhere/at/all"], again=False)
    children.start_due()

    assert len(notes) == 1
    assert not children.has("part") and children.due() == []


def test_whom_it_has_started_is_told(children: Children, pids: list[tuple[str, int]]) -> None:
    child = started(children, "part")

    assert child.process
    assert pids == [("part", child.process.pid)]
