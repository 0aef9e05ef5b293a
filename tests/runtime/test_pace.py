"""One thread serves alone in a rush, and never for longer than nobody is held up by it."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator

import pytest

from tests.waiting import wait_for
from webapps.runtime import pace
from webapps.runtime.pace import LOOK, PATIENCE, RUSH, Pace
from webapps.runtime.wsgi_connection import Connection
from webapps.runtime.wsgi_threads import Threads


class Clock:
    """What pace takes for time."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class House:
    """Three threads that answer each byte with itself; an "s" is slow, until the test lets it go."""

    def __init__(self, path: str, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        self.go_on = threading.Event()
        self.names: list[str] = []
        self.troubles: list[str] = []
        self.threads = Threads(self.listener, 3, self.answer, self.troubles.append)
        self.threads.open()
        self.pace = Pace(self.threads)

    def answer(self, connection: Connection) -> bool:
        data = connection.recv(1)
        if data == b"s":
            self.go_on.wait(20)
        self.names.append(threading.current_thread().name)
        if data:
            connection.send(data)
        return bool(data)

    def client(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        sock.connect(self.path)
        return sock

    def rush(self) -> None:
        """Let a second with many requests go by."""
        self.threads.seats[0].served += 2 * RUSH
        self.clock.now += 1
        self.pace.step()

    def hold_up_the_one(self, slow: socket.socket) -> None:
        """Have the one that serves alone be busy over two looks."""
        slow.sendall(b"s")
        wait_for(lambda: any(seat.connection for seat in self.threads.seats))
        self.threads.alone = next(seat for seat in self.threads.seats if seat.connection)
        self.pace.step()
        self.pace.step()

    def close(self) -> None:
        self.go_on.set()
        self.threads.close_the_door()
        wait_for(lambda: not self.threads.connections)
        assert self.threads.go_home(time.monotonic() + 10)
        self.listener.close()
        assert not self.troubles


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    with tempfile.TemporaryDirectory(prefix="st-") as directory:
        made = House(f"{directory}/s", clock)
        try:
            yield made
        finally:
            made.close()


def ask(sock: socket.socket, byte: bytes = b"q") -> None:
    sock.sendall(byte)
    assert sock.recv(1) == byte


def test_all_serve_while_there_is_little_to_do(house: House) -> None:
    house.clock.now += 1

    assert house.pace.step() == 1.0
    assert house.threads.alone is None


def test_in_a_rush_one_thread_serves_alone(house: House) -> None:
    house.rush()
    with house.client() as client:
        for _ in range(50):
            ask(client)

        alone = house.threads.alone
        assert alone and alone.thread
        # Each of the others was waiting already, and served once more at most.
        assert len([name for name in house.names if name != alone.thread.name]) <= 2
        assert house.pace.step() == LOOK


def test_when_the_one_is_held_up_the_others_join_in(house: House) -> None:
    house.rush()
    with house.client() as slow, house.client() as quick:
        for _ in range(20):
            ask(quick)
        house.hold_up_the_one(slow)

        ask(quick)

        house.go_on.set()
        assert slow.recv(1) == b"s"


def test_one_that_only_waits_for_a_core_is_not_held_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = iter(number * LOOK for number in range(100))
    monkeypatch.setattr(pace, "_waited_for_a_core", lambda _seat: next(waited))
    house.rush()
    with house.client() as slow:
        house.hold_up_the_one(slow)

        assert house.threads.alone
        house.go_on.set()
        assert slow.recv(1) == b"s"


def test_how_long_a_thread_waited_for_a_core_is_known(house: House) -> None:
    seat = house.threads.seats[0]
    wait_for(lambda: seat.thread and seat.thread.native_id)

    assert 0 < pace._waited_for_a_core(seat) < 60
    assert pace._waited_for_a_core(type(seat)()) == 0.0


def test_after_that_all_serve_for_a_while_and_longer_each_time(house: House) -> None:
    with house.client() as slow:
        for number in range(8):
            house.go_on.clear()
            house.pace.counted = house.clock.now = 1000.0 * (number + 1)
            house.rush()
            assert house.threads.alone
            house.hold_up_the_one(slow)
            assert house.pace.not_before - house.clock.now == min(PATIENCE[0] * 2**number, PATIENCE[1])
            house.go_on.set()
            assert slow.recv(1) == b"s"

    house.rush()

    assert house.threads.alone is None


def test_when_the_rush_is_over_all_serve(house: House) -> None:
    house.rush()
    assert house.threads.alone

    house.clock.now += 1
    house.pace.step()

    assert house.threads.alone is None
