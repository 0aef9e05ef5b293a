"""The keeper's side of the log writer: start it, tell it all that is held, hear which pipes have ended."""

from __future__ import annotations

import os
import selectors
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from . import legacy, processes, wire
from .held import PIPE, Held

PAUSE = 0.5


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
        self.selector.register(self._sock, selectors.EVENT_READ, lambda _sock: self._hear(ended))
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

    def _tell(self, message: wire.Message, fds: list[int] | None = None) -> None:
        if self._sock:
            try:
                wire.send(self._sock, message, fds or [])
            except OSError:
                pass  # It has died, and its successor is told everything.

    def _hear(self, ended: Callable[[str], None]) -> None:
        try:
            received = wire.receive(self._sock) if self._sock else None
        except OSError:
            received = None
        if received is None:
            self._close()
        elif "done" in received[0]:
            ended(received[0]["done"])

    def _close(self) -> None:
        if self._sock:
            self.selector.unregister(self._sock)
            self._sock.close()
            self._sock = None
