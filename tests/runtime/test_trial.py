"""A trial that comes to no end is no refusal: it is asked again until the machine answers."""

from __future__ import annotations

import errno
import os
import pwd
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.patience import within
from tests.waiting import wait_for
from webapps.runtime import processes, walls
from webapps.runtime.trial import Trial, ask
from webapps.runtime.walls import Confinement, Means, NoAnswer

ANSWER = Means(mounts=True, landlock=7, kernel=(6, 18), uid=1000)


def answers(*outcomes: Means | Exception) -> Callable[[float], Means]:
    """Return what is asked and answers so, one after the other."""
    coming = list(outcomes)

    def asked(_limit: float) -> Means:
        outcome = coming.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return asked


def test_it_asks_until_there_is_an_answer_and_wakes_whoever_waits() -> None:
    woken = threading.Semaphore(0)
    tried = Trial(answers(NoAnswer("too slow"), OSError("no memory"), ANSWER), woken.release, (0.0,))
    tried.thread.join(within(10))

    assert (tried.means, tried.trouble) == (ANSWER, "no memory")
    assert all(woken.acquire(timeout=within(5)) for _try in range(3))


def test_each_try_may_take_longer_than_the_one_before_it() -> None:
    limits: list[float] = []

    def asked(limit: float) -> Means:
        limits.append(limit)
        if len(limits) < 6:
            raise NoAnswer("too slow")
        return ANSWER

    Trial(asked, lambda: None, (0.0,)).thread.join(within(10))
    assert limits == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have trials run by a Python of the test's: a shell script."""

    def put(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return put


def tried(tmp_path: Path, limit: float) -> Means:
    return ask(None, Confinement(), tmp_path / "run", limit)


def test_the_machine_answers(tmp_path: Path) -> None:
    means = tried(tmp_path, within(30))
    assert means.uid == os.geteuid()
    assert means.kernel >= (4, 0)


def test_a_slow_interpreter_is_no_answer_and_leaves_nothing_behind(
    tmp_path: Path, interpreter: Callable[[str], None]
) -> None:
    interpreter("sleep 1000 & sleep 1000")
    with pytest.raises(NoAnswer, match="it did not answer within"):
        tried(tmp_path, 0.5)
    wait_for(lambda: not processes.marked(tmp_path / "run"))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -KILL $$", "was killed by SIGKILL"),
        ("echo MemoryError >&2; exit 3", "ended with status 3: MemoryError"),
        ("echo nonsense", "not understood"),
        ('echo \'{"strange": 1, "kernel": [6, 1]}\'', "not understood"),
    ],
)
def test_a_trial_that_dies_or_talks_nonsense_is_no_answer(
    tmp_path: Path, interpreter: Callable[[str], None], script: str, words: str
) -> None:
    interpreter(script)
    with pytest.raises(NoAnswer, match=words):
        tried(tmp_path, within(20))


def test_an_interpreter_that_cannot_be_run_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(OSError, match="nothing"):
        tried(tmp_path, within(20))


def outcome(monkeypatch: pytest.MonkeyPatch, raise_walls: Callable[[Confinement, int], None]) -> str:
    monkeypatch.setattr(walls, "raise_walls", raise_walls)
    return walls._tried(Confinement(), Means())


def failing(error: BaseException) -> Callable[[Confinement, int], None]:
    def raise_walls(_wished: Confinement, _agent: int) -> None:
        raise walls.WallsFailed("the walls failed") from error

    return raise_walls


def test_what_the_kernel_refuses_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(monkeypatch, lambda _wished, _agent: None) == ""
    assert "[Errno 1] unshare" in outcome(monkeypatch, failing(OSError(errno.EPERM, "unshare")))
    assert "a filter" in outcome(monkeypatch, lambda _wished, _agent: os.kill(os.getpid(), signal.SIGSYS))


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ETOOMANYREFS, errno.EUSERS])
def test_what_the_kernel_has_no_room_for_now_is_none(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    with pytest.raises(NoAnswer, match="fork"):
        outcome(monkeypatch, failing(OSError(number, "fork")))


def test_a_process_that_is_killed_while_it_tries_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoAnswer, match="status 9"):
        outcome(monkeypatch, lambda _wished, _agent: os.kill(os.getpid(), signal.SIGKILL))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a trial as another account")
def test_a_python_that_the_account_may_not_execute_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "closed" / "python"))
    with pytest.raises(NoAnswer, match=r"the account nobody may not enter .*STOA_PYTHON"):
        ask(pwd.getpwnam("nobody"), Confinement(), tmp_path, within(10))
