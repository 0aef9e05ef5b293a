"""Who is found when somebody without any right looks: processes of Stoa's own show their environment to root alone."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.accounts import ACCOUNT, no_account, python_of_account
from tests.patience import within
from webapps.runtime import processes

RUN_DIR = Path(f"/somewhere/{os.getpid()}")
MARK = processes.on_command_line(processes.mark_of(RUN_DIR))
OPEN = "print(flush=True); input()"
SECLUDED = f"import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); {OPEN}"
LOOK = Path(processes.__file__).read_text() + "\nimport sys\nprint(*marked(Path(sys.argv[1])))\n"

Start = Callable[..., int]


@pytest.fixture(scope="module")
def python() -> str:
    """A Python that the ordinary account can run; only root has to be somebody else for that."""
    if os.geteuid():
        return sys.executable
    if missing := no_account():
        pytest.skip(missing)
    return python_of_account()


def identity(uid: int) -> dict[str, Any]:
    return {"user": uid, "group": uid, "extra_groups": [], "cwd": "/"} if os.geteuid() == 0 else {}


def ordinary() -> int:
    return os.geteuid() or pwd.getpwnam(ACCOUNT).pw_uid


@pytest.fixture
def start(python: str) -> Iterator[Start]:
    """Start a Python with these words and wait until it runs; return its process id."""
    made: list[subprocess.Popen[bytes]] = []

    def started(source: str, *words: str, uid: int = 0, **environment: str) -> int:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(
            [python, *words, "-c", source], env=environment, **pipes, **identity(uid or ordinary())
        )
        made.append(process)
        assert process.stdout and process.stdout.readline() == b"\n"
        return process.pid

    yield started
    for process in made:
        process.kill()
        process.communicate(timeout=within(10))


def found(python: str) -> set[int]:
    """Return whom an ordinary account finds."""
    argv = [python, "-", str(RUN_DIR)]
    done = subprocess.run(argv, input=LOOK.encode(), capture_output=True, timeout=within(30), **identity(ordinary()))
    assert done.returncode == 0, done.stderr.decode()
    return {int(word) for word in done.stdout.split()}


def test_who_keeps_his_environment_to_himself_is_known_by_his_command_line(start: Start, python: str) -> None:
    secluded = start(SECLUDED, *MARK)

    assert found(python) == {secluded}


def test_who_shows_his_environment_is_known_by_it_alone(start: Start, python: str) -> None:
    words = {processes.MARK: processes.mark_of(RUN_DIR)}
    carries, _speaks_of_it = start(OPEN, **words), start(OPEN, *MARK)

    assert found(python) == {carries}


def test_another_stoas_processes_are_not_ours(start: Start, python: str) -> None:
    start(SECLUDED, *processes.on_command_line(processes.mark_of(RUN_DIR / "other")))

    assert found(python) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another account")
def test_another_accounts_processes_are_not_ours_whatever_they_say(start: Start, python: str) -> None:
    start(SECLUDED, *MARK, uid=ordinary() - 1)

    assert found(python) == set()


def test_a_process_is_below_whoever_started_it_and_below_no_other() -> None:
    with subprocess.Popen(["sleep", "1000"]) as one, subprocess.Popen(["sleep", "1000"]) as other:
        assert processes.is_below(one.pid, os.getpid())
        assert processes.is_below(one.pid, one.pid)
        assert not processes.is_below(one.pid, other.pid)
        assert not processes.is_below(os.getpid(), one.pid)
        one.kill()
        other.kill()


def test_one_that_has_gone_is_below_nobody() -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    assert not processes.is_below(gone.pid, os.getpid())
    assert processes.born_at(gone.pid) == 0


def test_who_leaves_while_it_is_asked_leaves_his_children_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    stats: list[tuple[int, list[bytes]]] = [(7, [b"S", b"6"]), (6, []), (7, [b"S", b"5"])]

    def stat(pid: int) -> list[bytes]:
        asked, said = stats.pop(0)
        assert asked == pid
        return said

    monkeypatch.setattr(processes, "_stat", stat)
    assert processes.is_below(7, 5)
