"""Take over from a Stoa whose keeper was killed, so that no request is lost.

1. ``claim``: its log writer, which lives on, hands over all that the keeper held (``legacy``).
2. Our own log writer is told everything; then ``Parting`` asks the old one to leave.
3. ``Parting`` ends the supervisor, the zygotes (their workers serve on) and installers; portal and gate finish what
   they have while their successors start on the same sockets. Who is unknown is asked to leave.
4. The front's workers finish when its successor starts (``nginx.START``); an application's workers stay until the new
   supervisor has replaced them, because their notes are marked as ``left`` (``adoption``).

Whoever is killed in the middle of it, the next start asks the log writer that was told everything last.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import legacy, processes, wire
from .held import CHILD, WORKER, Held
from .plan import Key
from .spec import AppSpec

PATIENCE = 10.0
# So long (seconds) who was asked to leave may take: a worker needs its own grace (instance.GRACE), others less.
GRACE, GRACE_OF_WORKERS = 15.0, 40.0
TCP = "tcp:"
ZYGOTE = "unix:zygote:"
SERVING = ("portal", "gate")
# What notes of each kind have to say.
NOTED = {
    "child": {"pid", "start"},
    "socket": {"label"},
    "asleep": {"key", "label"},
    "learnt": {"modules"},
    "worker": {"app", "label", "spec", "python", "pid", "start", "ready", "leaving", "edition", "lifetime"},
}


@dataclass(frozen=True)
class Left:
    """What an earlier keeper left: its log writer's process id, and all that was held, children's notes apart."""

    log_writer: int
    held: dict[str, Held]
    children: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Leaver:
    """A process that was asked to leave, and when (monotonic seconds) it is killed."""

    pid: int
    start: int
    deadline: float


def listeners(run_dir: Path) -> list[socket.socket] | None:
    """Return copies of the front's listening sockets, None where nobody is there to take over from."""
    found = _ask(run_dir, TCP)
    return None if found is None else [socket.socket(fileno=fd) for held in found[1].values() for fd in held.fds]


def claim(run_dir: Path) -> Left | None:
    """Take all that is left; None where nobody answers for it. What the new version does not understand is let go."""
    found = _ask(run_dir, "")
    if found is None:
        return None
    left = Left(found[0], {}, {})
    for key, held in found[1].items():
        if key.startswith(ZYGOTE) or not _is_understood(key, held.meta):
            wire.close_all(held.fds)
        elif key.startswith(CHILD):
            left.children[key.removeprefix(CHILD)] = (held.meta["pid"], held.meta["start"])
        else:
            left.held[key] = held
            if key.startswith(WORKER):
                held.meta["left"] = True
    return left


def _is_understood(key: str, meta: wire.Message) -> bool:
    """Say whether a note, maybe another version's, can be acted on."""
    try:
        if key.startswith(WORKER):
            AppSpec.from_dict(meta["spec"])
        elif key.startswith("asleep:"):
            Key(**meta["key"])
    except (LookupError, TypeError, ValueError, AttributeError):
        return False
    return NOTED.get(key.partition(":")[0], set()) <= meta.keys()


def _ask(run_dir: Path, prefix: str) -> tuple[int, dict[str, Held]] | None:
    """Ask for everything whose key begins so; return who has answered as well."""
    found: dict[str, Held] = {}
    try:
        sock = wire.connect(run_dir / legacy.SOCKET, PATIENCE)
    except OSError:
        return None
    with sock:
        try:
            wire.send(sock, {"do": "list", "of": prefix})
            for key, held in _answers(sock):
                found[key] = held
            return wire.peer(sock)[0], found
        except (OSError, ValueError, LookupError):
            for held in found.values():
                wire.close_all(held.fds)
            return None


def _answers(sock: socket.socket) -> Iterator[tuple[str, Held]]:
    while True:
        received = wire.receive(sock)
        if received is None:
            raise ConnectionError("the log writer has gone")
        message, fds = received
        if message.get("end"):
            return
        yield message["key"], Held(fds, message["meta"])


class Parting:
    """The processes that an earlier keeper's Stoa still has, and how they are sent away."""

    def __init__(self, run_dir: Path, left: Left) -> None:
        self.run_dir = run_dir
        self.left = left
        self.leavers: list[Leaver] = []

    def begin(self, spared: set[int]) -> None:
        """End at once who only decides, and ask the others to leave; ``spared`` are the new keeper's own."""
        self._ask_to_leave(self.left.log_writer, processes.started_at(self.left.log_writer), GRACE)
        others = self._others(spared)
        for name, (pid, start) in self.left.children.items():
            if name in SERVING:
                self._ask_to_leave(pid, start, GRACE)
            elif name != "front":
                processes.send_signal(pid, start, signal.SIGKILL, group=True)
        for pid in others:
            self._ask_to_leave(pid, processes.started_at(pid), GRACE_OF_WORKERS)

    def _others(self, spared: set[int]) -> list[int]:
        """Find who is neither a part of Stoa's nor a worker (or what it started) that the supervisor knows of."""
        known = {self.left.log_writer, *spared, *(pid for pid, _start in self.left.children.values())}
        sessions = {_session(held.meta["pid"]) for key, held in self.left.held.items() if key.startswith(WORKER)}
        sessions |= {session for zygote in self._zygotes() for session in _sessions_below(zygote)}
        found = (pid for pid in processes.marked(self.run_dir) if not processes.is_front(pid, self.run_dir))
        return [pid for pid in found if not _belongs(pid, known, sessions)]

    def _zygotes(self) -> Iterator[int]:
        """Name them: below each there may be a nest, which ends with the last worker in it (``nestfirst``)."""
        return (pid for name, (pid, _start) in self.left.children.items() if name.startswith("zygote:"))

    def _ask_to_leave(self, pid: int, start: int | None, grace: float) -> None:
        if start is not None and processes.is_alive(pid, start):
            processes.send_signal(pid, start, signal.SIGTERM)
            self.leavers.append(Leaver(pid, start, time.monotonic() + grace))

    def due(self) -> list[float]:
        """Return when (monotonic seconds) somebody is to be looked at."""
        return [leaver.deadline for leaver in self.leavers]

    def end_due(self, now: float) -> None:
        """Kill whoever has not left in time."""
        for leaver in [leaver for leaver in self.leavers if leaver.deadline <= now]:
            self.leavers.remove(leaver)
            leads = _group(leaver.pid) == leaver.pid
            processes.send_signal(leaver.pid, leaver.start, signal.SIGKILL, group=leads)


def _belongs(pid: int, groups: set[int], sessions: set[int]) -> bool:
    try:
        return pid in groups or os.getpgid(pid) in groups or os.getsid(pid) in sessions
    except ProcessLookupError:
        return True


def _session(worker: int) -> int:
    """Return a worker's session: its own, or in a PID namespace one that it shares with the first process there."""
    try:
        return os.getsid(worker)
    except ProcessLookupError:
        return 0


def _sessions_below(zygote: int) -> set[int]:
    """Return the sessions of what is below a zygote but its own, in which a child may wait for its work."""
    return {_session(pid) for pid in processes.below(zygote)} - {_session(zygote)}


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0
