"""A process beside: what it owes, and when it is given up."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.beside import Beside, Room

# Begins to answer when there is a file, and answers with what it was asked.
STARTS = """
import os, sys, time
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
for line in sys.stdin: print(line, end="", flush=True)
"""


@pytest.fixture
def begins(tmp_path: Path) -> Path:
    return tmp_path / "begins"


@pytest.fixture
def beside(begins: Path) -> Iterator[Beside]:
    made = Beside((sys.executable, "-c", STARTS, str(begins)), Room(4, 2, 0.2))
    yield made
    made.stop()


def test_one_that_starts_slowly_is_not_given_up_and_its_late_answers_are_nobodys(beside: Beside, begins: Path) -> None:
    assert [beside.ask({"number": number}) for number in range(3)] == [None, None, None]
    pid = beside.process and beside.process.pid
    begins.touch()
    beside.room = Room(4, 2, 60.0)

    assert beside.ask({"number": 3}) == {"number": 3}
    assert beside.ask({"number": 4}) == {"number": 4}
    assert beside.process and beside.process.pid == pid


def test_one_that_has_answered_and_hangs_is_started_again(beside: Beside, begins: Path) -> None:
    begins.touch()
    beside.room = Room(4, 2, 60.0)
    assert beside.ask({"number": 1}) == {"number": 1}
    assert beside.process
    before = beside.process.pid
    os.kill(before, signal.SIGSTOP)

    beside.room = Room(4, 2, 0.2)
    assert beside.ask({"number": 2}) is None
    beside.room = Room(4, 2, 60.0)
    assert beside.ask({"number": 3}) == {"number": 3}
    assert beside.process.pid != before
