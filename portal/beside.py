"""A process beside this one that does what takes long, such as hashing: one at a time, and few may wait for it.

It reads a JSON object a line and answers each with one.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from webapps.runtime import processes

#: How long (seconds) it may take until the first answer.
STARTS = 60.0


@dataclass(frozen=True)
class Room:
    """How many may wait, in all and from one address, and how long (seconds) one answer may take."""

    most: int
    most_of_one: int
    patience: float


def of_module(name: str) -> tuple[str, ...]:
    """Return the command line that runs a module of Stoa's, with the mark of its home."""
    return sys.executable, *processes.on_command_line(os.environ.get(processes.MARK, "")), "-m", name


class Beside:
    """Ask the process; it is started when it is needed, and again when it has ended."""

    def __init__(self, argv: Sequence[str], room: Room) -> None:
        self.argv = argv
        self.room = room
        self.process: subprocess.Popen[bytes] | None = None
        self.turn = threading.Lock()
        self.count = threading.Lock()
        self.waiting: Counter[str] = Counter()
        self.owed, self.starts_until = 0, 0.0

    @contextmanager
    def place(self, address: str) -> Iterator[bool]:
        """Say whether there is a place to wait, and hold it."""
        with self.count:
            admitted = self.waiting.total() < self.room.most and self.waiting[address] < self.room.most_of_one
            self.waiting[address] += admitted
        try:
            yield admitted
        finally:
            with self.count:
                self.waiting[address] -= admitted
                if not self.waiting[address]:
                    del self.waiting[address]

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the answer, None where the process ended or hangs: it is ended then."""
        with self.turn:
            said = self._said(json.dumps(request).encode() + b"\n")
            if said is None and time.monotonic() < self.starts_until:
                return None  # It starts on a busy machine: killed for that, it would never come to an answer.
            if not said or not said.endswith(b"\n"):
                self.stop()  # It hangs, or has ended, perhaps within a line.
                return None
        self.starts_until = 0.0
        answer: dict[str, Any] = json.loads(said)
        return answer

    def _said(self, line: bytes) -> bytes | None:
        """Put a question, and return its answer: the last one of those that are owed. None: none came in time."""
        process = self._running()
        assert process.stdin and process.stdout
        until = time.monotonic() + self.room.patience
        try:
            process.stdin.write(line)
            self.owed += 1
            said = b"\n"
            while self.owed and said.endswith(b"\n"):
                if not select.select([process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                    return None
                said = process.stdout.readline()
                self.owed -= 1
        except OSError:
            return b""
        return said

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.stop()
            # Without a buffer: what is in one, select(2) does not see.
            self.process = subprocess.Popen(  # noqa: S603
                self.argv, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            self.owed, self.starts_until = 0, time.monotonic() + STARTS
        return self.process

    def stop(self) -> None:
        """End the process, and forget it."""
        process, self.process = self.process, None
        if process and process.stdin and process.stdout:
            process.kill()
            process.wait()
            process.stdout.close()
            try:
                process.stdin.close()
            except OSError:
                pass  # What could not be written any more.
