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
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from webapps.runtime import processes


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
            if not said.endswith(b"\n"):
                self.stop()  # It has ended, perhaps within a line.
                return None
        answer: dict[str, Any] = json.loads(said)
        return answer

    def _said(self, line: bytes) -> bytes:
        process = self._running()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(line)
            process.stdin.flush()
            came, _, _ = select.select([process.stdout], [], [], self.room.patience)
            return process.stdout.readline() if came else b""
        except OSError:
            return b""

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.stop()
            self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
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
