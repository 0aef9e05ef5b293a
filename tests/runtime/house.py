"""Three threads on one epoll that answer each byte with itself, and the clock that their pace goes by."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.patience import within
from tests.waiting import wait_for
from webapps.runtime import native, pace
from webapps.runtime.pace import RUSH, Pace
from webapps.runtime.wsgi_connection import ClientGone, Connection
from webapps.runtime.wsgi_threads import Seat, Threads


class Clock:
    """What pace takes for time."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Gate(native.Gate):
    """One that says whether somebody rests there."""

    rests = False

    def wait(self) -> None:
        self.rests = self._shut.locked()  # The first time nobody waits.
        super().wait()
        self.rests = False


class House:
    """Three threads that answer each byte with itself; an "s" is slow, until the test lets it go, a "c" the last."""

    def __init__(self, path: str, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        self.held_up = threading.Event()
        #: Each of the slow waits for one.
        self.go_on = threading.Semaphore(0)
        self.names: list[str] = []
        self.troubles: list[str] = []
        self.threads = Threads(self.listener, 3, self.answer, self.troubles.append)
        self.gates = [Gate() for _seat in self.threads.seats]
        for seat, gate in zip(self.threads.seats, self.gates, strict=True):
            seat.gate = gate
        self.threads.open()
        self.pace = Pace(self.threads)

    def answer(self, connection: Connection, _seat: Seat) -> bool:
        data, connection.rest = connection.rest[:1], connection.rest[1:]
        if data == b"s":
            self.held_up.set()
            self.go_on.acquire(timeout=within(20))
        self.names.append(threading.current_thread().name)
        try:
            connection.finish(data)
        except ClientGone:
            return False
        return data != b"c"

    def client(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(within(20))
        sock.connect(self.path)
        return sock

    def rush(self) -> None:
        """Let a second with many requests go by."""
        self.threads.seats[0].served += 2 * RUSH
        self.clock.now += 1
        self.pace.step()

    def hold_up_the_one(self, slow: socket.socket) -> None:
        """Have the one that serves alone be busy over three looks."""
        self.held_up.clear()
        slow.sendall(b"s")
        assert self.held_up.wait(within(20))
        self.threads.alone = next(seat for seat in self.threads.seats if seat.connection)
        for _look in range(3):
            self.pace.step()

    def close(self) -> None:
        self.go_on.release(100)
        self.threads.close_the_door()
        wait_for(lambda: not self.threads.connections)
        assert self.threads.go_home(time.monotonic() + 10)
        self.listener.close()
        assert not self.troubles


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Open a house whose time stands still."""
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    with tempfile.TemporaryDirectory(prefix="st-") as directory:
        made = House(f"{directory}/s", clock)
        try:
            yield made
        finally:
            made.close()


def ask(sock: socket.socket, byte: bytes = b"q") -> None:
    """Ask for a byte, and get it."""
    sock.sendall(byte)
    assert sock.recv(1) == byte
