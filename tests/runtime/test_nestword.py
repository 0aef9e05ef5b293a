"""What a zygote behind walls says: only what is so is taken."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from webapps.runtime import processes
from webapps.runtime.nestword import Refused, Word, process_of


@pytest.fixture
def child() -> Iterator[int]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process.pid
        process.kill()


def test_a_worker_is_known_by_its_pidfd(child: int) -> None:
    word = Word.of({"forked": "a"}, [os.pidfd_open(child)], os.getpid())

    assert (word.says, word.key, word.pid, word.start) == ("forked", "a", child, processes.started_at(child))
    assert not word.has_ended()
    os.close(word.take())


def test_a_number_is_no_worker() -> None:
    with pytest.raises(Refused):
        Word.of({"forked": "a", "pid": os.getpid(), "start": 1}, [], os.getpid())


def test_a_descriptor_of_something_else_is_no_worker() -> None:
    with pytest.raises(Refused, match="pidfd"):
        Word.of({"forked": "a"}, [os.open("/dev/null", os.O_RDONLY)], os.getpid())


def test_a_process_that_is_not_below_the_zygote_is_no_worker(child: int) -> None:
    hold = os.pidfd_open(os.getpid())

    with pytest.raises(Refused, match="not below"):
        Word.of({"forked": "a"}, [hold], child)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(hold)


def test_one_that_has_gone_has_no_number() -> None:
    with subprocess.Popen(["true"]) as process:
        hold = os.pidfd_open(process.pid)
    try:
        assert process_of(hold) == 0
        assert Word("forked", fds=(hold,)).has_ended()
    finally:
        os.close(hold)


@pytest.mark.parametrize(
    "said",
    [
        {}, [], None, "hello", {"children": {"1": "a"}}, {"ended": 1}, {"ended": 1, "key": 3, "status": 0},
        {"ended": 1, "key": "a", "status": "0"}, {"ended": 1, "key": "a", "status": 1 << 40},
        {"ended": 1, "key": "a" * 1000, "status": 0}, {"filter": True},
    ],
)  # fmt: skip
def test_what_no_zygote_says_is_refused(said: object) -> None:
    with pytest.raises(Refused):
        Word.of(said, [], os.getpid())


def test_an_end_is_told_with_its_status() -> None:
    word = Word.of({"ended": 7, "key": "a", "status": -9}, [], os.getpid())
    assert (word.key, word.pid, word.status) == ("a", 0, -9)
