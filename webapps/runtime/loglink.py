"""The keeper's side of the log writer: start it, tell it all that is held, hear which pipes have ended."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from . import legacy, processes, wire
from .held import PIPE, Held

PAUSE = 0.5
# One that has not taken what it was told for so long (seconds) is killed: the next one is told everything.
PATIENCE = 10.0


class LogLink:
    """One log writer at a time. ``events`` is the reading end of its pipe of events, ``ended`` hears of pipes."""

    def __init__(
        self, run_dir: Path, log_dir: Path, python: str, events: int, selector: selectors.BaseSelector
    ) -> None:
        self.run_dir = run_dir
        self.log_dir = log_dir
        self.python = python
        self.events = events
        self.selector = selector
        self.process: subprocess.Popen[bytes] | None = None
        self.due = 0.0
        self._started = 0.0
        self._sock: socket.socket | None = None
        self._untold: deque[tuple[wire.Message, list[int]]] = deque()
        self._heard_at = 0.0

    @property
    def pid(self) -> int:
        """The process id, 0 while there is none."""
        return self.process.pid if self.process else 0

    def start(
        self, held: Mapping[str, Held], environment: Mapping[str, str], ended: Callable[[str], None], predecessor: int
    ) -> None:
        """Start it and tell it everything; then it answers for us should we be killed.

        It reads no pipe before its ``predecessor`` (process id, 0 for none) has ended.
        """
        self._started = time.monotonic()
        self._close()
        self._sock, theirs = wire.pair()
        self._sock.setblocking(False)
        self._heard = lambda _sock: self._hear(ended)
        self.selector.register(self._sock, selectors.EVENT_READ, self._heard)
        fds = (theirs.fileno(), self.events)
        mark = processes.on_command_line(environment[processes.MARK])
        argv = [self.python, *mark, "-m", "webapps.runtime.logwriter", str(self.log_dir)]
        argv += map(str, (*fds, predecessor))
        # Its own last words go to a file: it may outlive us and our terminal.
        with (self.run_dir / "logwriter.err").open("ab") as words:
            self.process = subprocess.Popen(  # noqa: S603
                argv,
                pass_fds=fds,
                env={**environment, "PATH": os.defpath, "PYTHONPATH": str(Path(__file__).parents[2])},
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                process_group=0,
            )
        theirs.close()
        for key, kept in held.items():
            self.hold(key, kept)
        self._tell({"answer": str(self.run_dir / legacy.SOCKET)})

    def hold(self, key: str, held: Held) -> None:
        """Hand it a pipe to read, or whatever else is held to keep."""
        message = {"attach": key, **held.meta} if key.startswith(PIPE) else {"hold": key, "meta": held.meta}
        self._tell(message, held.fds)

    def drop(self, key: str) -> None:
        """Tell it that nothing is held under a key any more."""
        self._tell({"drop": key})

    def reaped(self, pid: int, status: int) -> None:
        """Hear that a process has ended; where it was the log writer, plan the next one's start."""
        if self.process and pid == self.process.pid:
            self.process.returncode = status
            self.process = None
            self.due = max(time.monotonic(), self._started + PAUSE)

    def is_at(self, fileobj: object) -> bool:
        """Say whether this is what the selector has of it."""
        return fileobj is self._sock

    def stop(self) -> None:
        """End it once it has written all that has come."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def patience(self) -> list[float]:
        """Return when (monotonic seconds) it has to be given up, if it takes nothing until then."""
        return [self._heard_at + PATIENCE] if self._untold and self.process else []

    def give_up_due(self, now: float) -> None:
        """Kill it where it has taken nothing for too long; SIGKILL ends a stopped process too."""
        if self.process and any(now >= due for due in self.patience()):
            self._heard_at = now
            os.kill(self.process.pid, signal.SIGKILL)

    def _tell(self, message: wire.Message, fds: Iterable[int] = ()) -> None:
        """Tell it now, or when it reads on: the keeper waits for nobody."""
        if not self._sock:
            return
        if not self._untold:
            self._heard_at = time.monotonic()
        self._untold.append((message, [os.dup(fd) for fd in fds]))
        self._tell_on()

    def _tell_on(self) -> None:
        while self._sock and self._untold:
            message, fds = self._untold[0]
            try:
                wire.send(self._sock, message, fds)
            except BlockingIOError:
                break
            except OSError:
                pass  # It has died, and its successor is told everything.
            wire.close_all(fds)
            self._untold.popleft()
            self._heard_at = time.monotonic()
        if self._sock:
            mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._untold else 0)
            self.selector.modify(self._sock, mask, self._heard)

    def _hear(self, ended: Callable[[str], None]) -> None:
        self._tell_on()
        try:
            received = wire.receive(self._sock) if self._sock else None
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self._close()
        elif "done" in received[0]:
            ended(received[0]["done"])

    def _close(self) -> None:
        while self._untold:
            wire.close_all(self._untold.popleft()[1])
        if self._sock:
            self.selector.unregister(self._sock)
            self._sock.close()
            self._sock = None
