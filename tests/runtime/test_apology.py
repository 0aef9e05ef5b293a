"""Who waits for an application that has failed is answered, and the application holds up nobody who does that."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import within
from tests.waiting import wait_for
from webapps.runtime.apology import Apologies, turn_away


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(str(tmp_path / "s"))
        found.listen()
        found.setblocking(False)
        yield found


def call(listener: socket.socket) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX)
    caller.settimeout(within(5))
    caller.connect(listener.getsockname())
    caller.sendall(b"GET / HTTP/1.1\r\n\r\n")
    return caller


def answer(caller: socket.socket) -> bytes:
    with caller:
        return caller.recv(100)


def test_everybody_in_the_queue_is_answered(listener: socket.socket) -> None:
    callers = [call(listener) for _number in range(3)]
    assert turn_away(listener) == 3
    assert all(answer(caller).startswith(b"HTTP/1.1 503 ") for caller in callers)


def test_it_goes_on_beside_the_one_who_asks_for_it(listener: socket.socket) -> None:
    caller = call(listener)
    Apologies().begin(1, listener)
    assert answer(caller).startswith(b"HTTP/1.1 503 ")


def test_one_that_lets_its_socket_wait_holds_up_nobody(listener: socket.socket) -> None:
    """The flag is the socket's, which the application has too; here it takes the caller away in between as well."""

    class Wavering(Apologies):
        def begin(self, app_id: int, listener: socket.socket) -> None:
            super().begin(app_id, listener)
            fcntl.fcntl(theirs, fcntl.F_SETFL, fcntl.fcntl(theirs, fcntl.F_GETFL) & ~os.O_NONBLOCK)

    theirs, apologies = os.dup(listener.fileno()), Wavering()
    callers = []
    began = time.monotonic()
    for _tick in range(20):
        callers.append(call(listener))
        apologies.begin(1, listener)
    assert time.monotonic() - began < within(5)
    wait_for(lambda: all(answer(caller) for caller in callers[:1]))
    listener.shutdown(socket.SHUT_RDWR)  # So that the thread ends.
    os.close(theirs)
    for caller in callers:
        caller.close()


def test_nobody_waits(listener: socket.socket) -> None:
    apologies = Apologies()
    apologies.begin(1, listener)
    assert not apologies._threads
