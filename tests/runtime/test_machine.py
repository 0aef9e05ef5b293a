"""Nothing of an account starts before the machine has answered, nor where a wall is missing that is required."""

from __future__ import annotations

import dataclasses
import os
import threading

import pytest

from tests.waiting import wait_for
from webapps.runtime import machine, wallmode
from webapps.runtime.machine import Machine
from webapps.runtime.shortfall import Kernel
from webapps.runtime.wallmode import WallMode
from webapps.runtime.walls import Means, NoAnswer

WHOLE = Means(mounts=True, landlock=7, kernel=(6, 18), uid=os.geteuid())
WITHOUT = dataclasses.replace(WHOLE, mounts=False, why_no_mounts="unshare: no")


class Asked:
    """A machine whose answer the test gives, and what it told people."""

    def __init__(self, mode: WallMode) -> None:
        self.given: list[Means | Exception] = []
        self.is_given = threading.Semaphore(0)
        self.told: list[tuple[str, str]] = []
        kernel = Kernel(namespaces=True, filtered=False)
        self.machine = Machine(mode, kernel, lambda _account: self._answer, lambda: None, self._say, pauses=(0.0,))

    def _say(self, words: str, level: str) -> None:
        self.told.append((words, level))

    def _answer(self, _limit: float) -> Means:
        self.is_given.acquire()
        answer = self.given.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def give(self, answer: Means | Exception) -> None:
        self.given.append(answer)
        self.is_given.release()

    def waiting(self) -> str:
        return self.machine.waiting(None)

    def answers(self, answer: Means) -> None:
        self.waiting()
        self.give(answer)
        wait_for(lambda: not self.waiting())
        self.machine.look()


def test_applications_wait_until_the_machine_answers_and_then_go_on() -> None:
    busy = Asked(WallMode.PERMITTED)
    assert busy.waiting() == "it waits until it is known which walls this machine permits"
    with pytest.raises(OSError, match="it waits"):
        busy.machine.means(None)
    busy.give(NoAnswer("it did not answer within 10 seconds"))
    wait_for(lambda: "(it did not answer within 10 seconds); it is tried again by itself" in busy.waiting())
    busy.answers(WHOLE)

    assert busy.machine.means(None) == WHOLE
    assert busy.machine.problem(None) == ""
    assert busy.machine.warnings() == []


def test_a_trial_that_failed_is_told_once_and_so_is_the_answer() -> None:
    busy = Asked(WallMode.REQUIRED)
    busy.waiting()
    busy.machine.look()
    assert busy.told == []
    busy.give(NoAnswer("was killed by SIGKILL"))
    wait_for(busy.machine.warnings)
    busy.machine.look()
    busy.machine.look()
    [(words, level)] = busy.told

    assert "could not be tried: was killed by SIGKILL. Its applications wait" in words
    assert level == "warning"
    busy.answers(WHOLE)
    assert [level for _words, level in busy.told] == ["warning", "info"]
    assert "has answered" in busy.told[1][0]


def test_where_walls_are_required_a_refused_one_lets_nothing_start() -> None:
    strict = Asked(WallMode.REQUIRED)
    strict.answers(WITHOUT)

    assert strict.machine.problem(None) == (
        "walls that this kernel has do not hold: namespaces are refused (unshare: no). Permit them "
        "(docs/operations.md, Walls), or start Stoa with STOA_WALLS=1, which runs applications without them."
    )
    assert [words.startswith("No application of ") for words, _level in strict.told] == [True]


def test_where_they_are_not_it_is_told_and_applications_run() -> None:
    lenient = Asked(WallMode.PERMITTED)
    lenient.answers(WITHOUT)

    assert lenient.machine.problem(None) == ""
    assert ["run without walls that this kernel has" in words for words in lenient.machine.warnings()] == [True]


def test_where_they_are_off_nobody_is_asked() -> None:
    off = Asked(WallMode.OFF)
    assert (off.waiting(), off.machine.problem(None), off.machine.warnings()) == ("", "", [])
    assert not off.machine.trials


def test_where_no_thread_can_be_had_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*_any: object) -> None:
        raise RuntimeError("can't start new thread")

    busy = Asked(WallMode.PERMITTED)
    with monkeypatch.context() as patch:
        patch.setattr(machine, "Trial", no_thread)
        assert busy.waiting().endswith("permits: can't start new thread")
    busy.answers(WHOLE)


@pytest.mark.parametrize(
    ("given", "user", "mode"),
    [
        ({}, "", WallMode.PERMITTED),
        ({}, "nobody", WallMode.REQUIRED),
        ({"STOA_WALLS": ""}, "nobody", WallMode.REQUIRED),
        ({"STOA_WALLS": "1"}, "nobody", WallMode.PERMITTED),
        ({"STOA_WALLS": "0"}, "nobody", WallMode.OFF),
        ({"STOA_WALLS": "required"}, "", WallMode.REQUIRED),
    ],
)
def test_whoever_names_an_account_requires_walls_unless_he_says_otherwise(
    given: dict[str, str], user: str, mode: WallMode
) -> None:
    assert wallmode.read(given, user) is mode


def test_an_unknown_value_is_an_error_in_words() -> None:
    with pytest.raises(ValueError, match="STOA_WALLS is “yes”, which is none of 0, 1, required"):
        wallmode.read({"STOA_WALLS": "yes"}, "")
