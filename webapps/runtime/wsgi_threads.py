"""A few threads on one shared epoll: each takes whatever connection has something to say.

EPOLLONESHOT gives a connection to one thread at a time, which hands it back by arming it again; there is no queue
and no lock between them. Runs inside the application's process.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable

from .wsgi_connection import Connection

ONCE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLONESHOT
# What accept() says of a connection that went before it came, or of another generation that was faster.
PASSING = {errno.EAGAIN, errno.ECONNABORTED, errno.EINTR, errno.EPROTO}
# What it says of a process or a machine that has no room left; the connection stays in the queue.
FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE_WHEN_FULL = 0.1

Answer = Callable[[Connection], bool]


class Seat:
    """A thread's place: the connection that it serves at this moment, and how often it has served one."""

    __slots__ = ("connection", "served", "thread")

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.served = 0
        self.thread: threading.Thread | None = None


class Threads:
    """Accept and answer. ``answer`` serves one request of a connection and says whether it may be kept."""

    def __init__(self, listener: socket.socket, threads: int, answer: Answer, failed: Callable[[str], None]) -> None:
        self.listener = listener
        self.door = listener.fileno()
        self.answer = answer
        self.failed = failed
        self.epoll = select.epoll()
        self.connections: dict[int, Connection] = {}
        self.seats = [Seat() for _ in range(threads)]
        self.alone: Seat | None = None
        self.together = threading.Event()
        self.bell, self.ringing = os.pipe()

    def open(self) -> None:
        """Begin to accept and to answer."""
        self.listener.setblocking(False)
        self.epoll.register(self.door, ONCE)
        self._sit_down()

    def close_the_door(self) -> None:
        """Accept nothing more; the listener itself is for the next generation."""
        self.epoll.unregister(self.door)

    def serve_alone(self) -> None:
        """Let one thread serve; each of the others rests after what it has in hand."""
        self.together.clear()
        self.alone = next((seat for seat in self.seats if seat.connection is None), self.seats[0])

    def serve_together(self) -> None:
        """Let all threads serve."""
        self.alone = None
        self.together.set()

    def go_home(self, deadline: float) -> bool:
        """End the threads once no connection is left; False when one came in with a thread's last step.

        1. Ring the bell, which every thread hears when it has nothing else in hand. 2. Wait for the threads. 3. Look
        at the connections again: a thread may have accepted one meanwhile (replacement.md, section 2).
        """
        self.serve_together()
        os.write(self.ringing, b"!")
        self.epoll.register(self.bell, select.EPOLLIN)
        for seat in self.seats:
            if seat.thread:
                seat.thread.join(max(0.0, deadline - time.monotonic()))
        if not self.connections or time.monotonic() >= deadline:
            return True
        self.epoll.unregister(self.bell)
        os.read(self.bell, 1)
        self._sit_down()
        return False

    def _sit_down(self) -> None:
        for number, seat in enumerate(self.seats, 1):
            seat.thread = threading.Thread(target=self._work, args=(seat,), name=f"request-{number}", daemon=True)
            seat.thread.start()

    def _work(self, seat: Seat) -> None:
        """Serve until the bell rings."""
        try:
            while self._turn(seat):
                continue
        except BaseException as error:
            self.failed(f"a thread of the worker ended: {type(error).__name__}: {error}")

    def _turn(self, seat: Seat) -> bool:
        poll, connections, attend = self.epoll.poll, self.connections, self._attend
        while True:
            fd = poll(-1, 1)[0][0]
            connection = connections.get(fd)
            if connection is not None:
                connection.progress += 1
                seat.connection = connection
                attend(connection)
                seat.connection = None
                seat.served += 1
                if self.alone is not None and self.alone is not seat:
                    self.together.wait()
            elif fd == self.bell:
                return False
            elif fd == self.door:
                self._let_in()

    def _attend(self, connection: Connection) -> None:
        """Answer what has been asked; keep the connection or close it."""
        kept = False
        try:
            while self.answer(connection):
                if not connection.rest:
                    kept = True
                    self.epoll.modify(connection.fd, ONCE)  # From here on it may be another thread's.
                    return
        finally:
            if not kept:
                # Before it is closed: its number may be another's at once.
                del self.connections[connection.fd]
                connection.part()

    def _let_in(self) -> None:
        """Accept one connection and look at the door again, so that several processes share what comes."""
        try:
            sock, _address = self.listener.accept()
        except OSError as error:
            if error.errno in FULL:
                time.sleep(PAUSE_WHEN_FULL)
            elif error.errno not in PASSING:
                raise
        else:
            connection = Connection(sock)
            self.connections[connection.fd] = connection
            self.epoll.register(connection.fd, ONCE)
        try:
            self.epoll.modify(self.door, ONCE)
        except FileNotFoundError:
            pass  # The door has been closed meanwhile.
