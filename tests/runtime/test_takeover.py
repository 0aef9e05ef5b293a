"""What is left of a Stoa whose keeper was killed: what the next start takes, and whom it sends away."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.patience import within
from tests.waiting import wait_for
from webapps.runtime import legacy, processes, takeover, wire
from webapps.runtime.held import Held
from webapps.runtime.legacy import Legacy
from webapps.runtime.spec import AppSpec, Protocol
from webapps.runtime.takeover import Left, Parting

SPEC = AppSpec(1, 1, "/a", "", "USER", Protocol.WSGI)
NOTED = json.loads(json.dumps(SPEC.to_dict()))
STUBBORN = ["/bin/sh", "-c", "trap : TERM; echo there; while :; do sleep 60 & wait; done"]


def worker(**more: Any) -> dict[str, Any]:
    known = {"app": 1, "label": "/a", "spec": NOTED, "python": "python", "pid": 1, "start": 1}
    return {**known, "ready": True, "leaving": False, "edition": 0, "lifetime": 0, **more}


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path


class LogWriter:
    """The part of a log writer that answers the next start."""

    def __init__(self, run_dir: Path) -> None:
        self.epoll = select.epoll()
        self.legacy = Legacy(self.epoll, list)
        self.legacy.answer_at(run_dir / legacy.SOCKET)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while not self.over.is_set():
            for fd, _mask in self.epoll.poll(0.05):
                self.legacy.serve(fd)


@pytest.fixture
def log_writer(run_dir: Path) -> Iterator[LogWriter]:
    made = LogWriter(run_dir)
    yield made
    made.over.set()
    made.thread.join(within(10))
    made.epoll.close()
    for sock in (made.legacy._server, *made.legacy._callers.values()):
        assert sock
        sock.close()


def test_where_nobody_answers_there_is_nothing_to_take_over(run_dir: Path) -> None:
    assert takeover.claim(run_dir) is None
    assert takeover.listeners(run_dir) is None


def test_workers_are_marked_as_left_and_children_noted_apart(run_dir: Path, log_writer: LogWriter) -> None:
    log_writer.legacy.hold("worker:a", Held([], worker()))
    log_writer.legacy.hold("child:portal", Held([], {"pid": 7, "start": 8}))
    log_writer.legacy.hold("unix:zygote:1", Held([], {"python": "python", "path": "/nowhere"}))

    left = takeover.claim(run_dir)

    assert left == Left(os.getpid(), {"worker:a": Held([], worker(left=True))}, {"portal": (7, 8)})


@pytest.mark.parametrize(
    ("key", "meta"),
    [
        ("worker:a", worker(spec={**NOTED, "of another version": 1})),
        ("worker:a", {"pid": 1, "start": 1, "spec": NOTED}),
        ("asleep:1", {"label": "/a", "key": {"other": 1}}),
        ("child:portal", {}),
        ("socket:1", {}),
    ],
)
def test_what_another_version_has_noted_is_let_go(
    run_dir: Path, log_writer: LogWriter, key: str, meta: dict[str, Any]
) -> None:
    log_writer.legacy.hold(key, Held([], meta))

    assert takeover.claim(run_dir) == Left(os.getpid(), {}, {})


def test_the_fronts_sockets_can_be_had_alone(run_dir: Path, log_writer: LogWriter) -> None:
    held = wire.listen(run_dir / "other.sock")
    log_writer.legacy.hold("tcp:apps", Held([os.dup(held.fileno())], {}))
    log_writer.legacy.hold("worker:a", Held([], worker()))

    (found,) = takeover.listeners(run_dir) or []

    assert os.path.samestat(os.fstat(found.fileno()), os.fstat(held.fileno()))
    found.close()
    held.close()
    log_writer.legacy.drop("tcp:apps")


@pytest.fixture
def started(run_dir: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []
    yield made
    for process in made:
        process.kill()
        process.wait(within(10))
        if process.stdout:
            process.stdout.close()


def start(started: list[subprocess.Popen[bytes]], run_dir: Path, *words: str, **more: Any) -> subprocess.Popen[bytes]:
    environment = {processes.MARK: processes.mark_of(run_dir), "PATH": os.defpath}
    process = subprocess.Popen(words or ["/bin/sleep", "60"], env=environment, process_group=0, **more)
    started.append(process)
    return process


def identity(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    return process.pid, processes.started_at(process.pid) or 0


def test_each_is_sent_away_in_its_own_way(run_dir: Path, started: list[subprocess.Popen[bytes]]) -> None:
    names = ("supervisor", "zygote:1", "portal", "gate")
    children = {name: start(started, run_dir) for name in names}
    log_writer, stranger = start(started, run_dir), start(started, run_dir)
    own = start(started, run_dir)
    known = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True, env=_mark(run_dir))
    started.append(known)
    notes = {"worker:a": Held([], worker(pid=known.pid, start=identity(known)[1]))}
    left = Left(log_writer.pid, notes, {name: identity(child) for name, child in children.items()})

    Parting(run_dir, left).begin({own.pid})

    ends = [child.wait(within(10)) for child in (*children.values(), log_writer, stranger)]
    assert ends == [-signal.SIGKILL, -signal.SIGKILL, *[-signal.SIGTERM] * 4]
    assert (own.poll(), known.poll()) == (None, None)


def _mark(run_dir: Path) -> dict[str, str]:
    return {processes.MARK: processes.mark_of(run_dir)}


def test_who_does_not_leave_is_killed_in_the_end(run_dir: Path, started: list[subprocess.Popen[bytes]]) -> None:
    portal, log_writer = start(started, run_dir, *STUBBORN, stdout=subprocess.PIPE), start(started, run_dir)
    assert portal.stdout and portal.stdout.readline() == b"there\n"
    parting = Parting(run_dir, Left(log_writer.pid, {}, {"portal": identity(portal)}))
    parting.begin(set())
    parting.end_due(time.monotonic())
    assert portal.poll() is None and len(parting.due()) == 2

    parting.end_due(max(parting.due()))

    wait_for(lambda: portal.poll() == -signal.SIGKILL)
    assert parting.due() == []
