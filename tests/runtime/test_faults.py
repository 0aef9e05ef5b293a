"""What goes wrong for one application is its own: it is said once, and nobody else has anything of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from webapps.runtime import faults as module
from webapps.runtime.events import Events
from webapps.runtime.faults import Faults
from webapps.runtime.keeperlink import KeeperGone


class Said(Events):
    """Events that a test reads."""

    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        os.set_blocking(self.reading, False)
        super().__init__(writing, "test")

    def lines(self) -> list[str]:
        try:
            data = os.read(self.reading, 1 << 20)
        except BlockingIOError:
            return []
        return [json.loads(line)["text"] for line in data.splitlines()]

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.fd)


@pytest.fixture
def said() -> Iterator[Said]:
    events = Said()
    yield events
    events.close()


def fail(faults: Faults, whose: str = "/a", words: str = "no", doing: str = "looking") -> None:
    with faults.of(whose, doing):
        raise RuntimeError(words)


def test_it_is_said_once_with_where_it_was(said: Said) -> None:
    faults = Faults(said)
    for _tick in range(5):
        fail(faults)
    (line,) = said.lines()
    assert line.startswith("/a: Stoa failed looking: RuntimeError: no ⏎ Traceback ")
    assert line.endswith(" ⏎ RuntimeError: no") and "test_faults.py" in line


def test_words_that_change_do_not_fill_the_log(said: Said) -> None:
    faults = Faults(said)
    for tick in range(50):
        fail(faults, words=str(tick))
    assert sum("Stoa failed" in line for line in said.lines()) == 1
    assert "RuntimeError: 49" in faults.words("/a")


def test_after_a_while_other_words_are_said(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    faults = Faults(said)
    for words in ("first", "first", "second"):
        fail(faults, words=words)
    assert sum("Stoa failed" in line for line in said.lines()) == 2


def test_it_is_over_when_the_same_goes_well(said: Said) -> None:
    faults = Faults(said)
    fail(faults)
    fail(faults, doing="writing")
    with faults.of("/a", "looking"):
        pass
    assert faults.words("/a") == "Stoa failed writing: RuntimeError: no"


def test_it_is_nobody_elses(said: Said) -> None:
    faults = Faults(said)
    fail(faults)
    fail(faults, "USER", "env")
    assert faults.words("/b") == "" and faults.words("/b", "USER") == "Stoa failed looking: RuntimeError: env"


def test_it_is_forgotten_with_whose_it_is_and_when_that_begins_anew(said: Said) -> None:
    faults = Faults(said)
    fail(faults)
    fail(faults, "/b")
    faults.forgive("/b")
    assert faults.words("/b") == ""
    faults.forget_all_but({"/b"})
    assert faults.words("/a") == ""


def test_words_can_be_shown(said: Said) -> None:
    faults = Faults(said)
    fail(faults, words="\udcff\n\x1b[31m" + "x" * 5000)
    words = faults.words("/a")
    words.encode()
    assert "\x1b" not in words and "\n" not in words and len(words) < 400


def test_endless_recursion_is_one_of_them(said: Said) -> None:
    def deeper() -> None:
        deeper()

    faults = Faults(said)
    with faults.of("/a", "looking"):
        deeper()
    assert "RecursionError" in faults.words("/a") and len(said.lines()) < 20


def test_that_the_keeper_has_gone_is_not_an_applications_fault(said: Said) -> None:
    with pytest.raises(KeeperGone), Faults(said).of("/a", "looking"):
        raise KeeperGone
    assert said.lines() == []
