"""What the worker takes of the standard library, kept from before the application can replace it.

``gevent.monkey.patch_all()`` and ``eventlet.monkey_patch()`` put greenlets' threads, locks, sockets and sleep in the
place of the real ones, for whoever asks a module for them afterwards, and take ``select.epoll`` away. The worker's
threads stay threads, and what it closes is closed at once. Runs inside the application's process under any CPython
from 3.10.
"""

from __future__ import annotations

import threading
from _thread import allocate_lock, get_ident, get_native_id, start_new_thread
from collections.abc import Callable
from contextlib import suppress
from os import close, read, write
from select import epoll, poll
from socket import socket
from time import sleep

__all__ = [
    "Gate",
    "Thread",
    "accept",
    "allocate_lock",
    "close",
    "epoll",
    "get_ident",
    "poll",
    "read",
    "sleep",
    "socket",
    "start_new_thread",
    "write",
]


def accept(listener: socket) -> socket:
    """Take the next connection, which blocks. Raises OSError."""
    # Not by accept(), which makes one of whatever class socket.socket is by now.
    fd, _address = listener._accept()  # type: ignore[attr-defined]
    connection = socket(listener.family, listener.type, listener.proto, fileno=fd)
    connection.setblocking(True)  # Whatever socket.setdefaulttimeout() was told.
    return connection


class Thread:
    """A thread of the system. ``threading.current_thread()`` has its name; nothing waits for it at the end."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self.name = name
        self.work = work
        self.ident = self.native_id = 0
        self._beginning, self._going_on = allocate_lock(), allocate_lock()

    def start(self) -> None:
        """Begin; it is known by its numbers then."""
        self._beginning.acquire()
        self._going_on.acquire()
        start_new_thread(self._run, ())
        with self._beginning:
            pass

    def _run(self) -> None:
        self.ident, self.native_id = get_ident(), get_native_id()
        self._beginning.release()
        with suppress(Exception):  # The application may have replaced this too.
            threading.current_thread().name = self.name
        try:
            self.work()
        finally:
            self._going_on.release()

    def join(self, timeout: float) -> None:
        """Wait for its end, so long (seconds) at most."""
        if self._going_on.acquire(timeout=timeout):
            self._going_on.release()


class Gate:
    """Where one thread waits until another opens. It may open once too often: who waits looks again."""

    def __init__(self) -> None:
        self._shut = allocate_lock()

    def wait(self) -> None:
        """Wait, and shut it again; the first time nobody waits."""
        self._shut.acquire()

    def open(self) -> None:
        """Let the one go on that waits, or the next one that comes. Only one thread does this."""
        if self._shut.locked():
            self._shut.release()
