"""Saying something without waiting for who reads it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from tests.patience import within
from webapps.runtime import nowait
from webapps.runtime.nowait import Outlet


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that blocks."""
    reading, writing = os.pipe()
    yield reading, writing
    for fd in (reading, writing):
        os.close(fd)


def test_lines_come_whole(pipe: tuple[int, int]) -> None:
    outlet = Outlet(pipe[1])

    print("one\ntwo", file=outlet)
    outlet.write("begun ")
    outlet.write("and ended\n")
    outlet.write("rest")
    outlet.flush()

    assert os.read(pipe[0], 1000) == b"one\ntwo\nbegun and ended\nrest\n"


@pytest.mark.parametrize("unable", [False, True])
def test_what_nobody_reads_is_counted_and_said_later(
    pipe: tuple[int, int], unable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if unable:  # As a kernel before Linux 6.4.
        monkeypatch.setattr(nowait, "NOWAIT", 1 << 30)
    outlet = Outlet(pipe[1])

    for number in range(20000):
        outlet.say(f"line {number}")

    assert 0 < outlet.lost < 20000
    come = os.read(pipe[0], 1 << 17).decode().splitlines()
    assert come == [f"line {number}" for number in range(len(come))]
    outlet.say("the next")
    assert os.read(pipe[0], 1000).decode() == nowait.LOST.format(20000 - len(come)) + "the next\n"
    assert outlet.lost == 0


def test_many_threads_lose_nothing_where_there_is_room() -> None:
    reading, writing = os.pipe()
    outlet = Outlet(writing)
    threads = [threading.Thread(target=outlet.write, args=("a line\n" * 100,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within(20))
    os.close(writing)
    with os.fdopen(reading) as come:
        assert come.read() == "a line\n" * 800


def test_a_closed_reader_is_no_reason_to_fail(pipe: tuple[int, int]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    outlet = Outlet(writing)

    outlet.say("a line")

    assert outlet.lost == 1
    os.close(writing)
