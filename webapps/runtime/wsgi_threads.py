"""A few threads on one shared epoll: each takes whatever connection has something to say.

The epoll tells of each arrival once (EPOLLET), and to one thread; a connection's lock says whose it is meanwhile. So
a small exchange costs no epoll_ctl(2), and of many arrivals one thread may take several with one epoll_wait(2).

Both reading and writing wake the front, and waking an idle core costs more than either. So the thread that serves
alone may read what several have said before it answers the first, and send its answers by fours (``bundling``).
Runs inside the application's process.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections import deque
from collections.abc import Callable, MutableSequence
from functools import partial

from . import native
from .wsgi_connection import Connection, Outbox

EDGE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
# The listening socket: whoever has accepted looks again.
ONCE = select.EPOLLIN | select.EPOLLONESHOT
ENDS = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
# How many arrivals the thread that serves alone takes at a time, and how many of its answers go out together.
HANDFUL, BUNDLE = 16, 4
# An answer waits for the next one where the one before it took no longer (seconds).
QUICK = 0.0001
NOTHING = (-1, 0)
# What accept() says of a connection that went before it came, or of another generation that was faster.
PASSING = {errno.EAGAIN, errno.ECONNABORTED, errno.EINTR, errno.EPROTO}
# What it says of a process or a machine that has no room left; the connection stays in the queue.
FULL = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
PAUSE_WHEN_FULL = 0.1


class Seat:
    """A thread's place: the connection that it serves at this moment, and how often it has served one.

    ``steps`` is one number: how often the thread has begun or ended a request. At the ``gate`` it rests.
    """

    __slots__ = ("connection", "gate", "served", "steps", "thread")

    def __init__(self) -> None:
        self.steps: MutableSequence[int] | memoryview = [0]
        self.connection: Connection | None = None
        self.served = 0
        self.thread: native.Thread | None = None
        self.gate = native.Gate()


Answer = Callable[[Connection, Seat], bool]


class Threads:
    """Accept and answer. ``answer`` serves one request of a connection and says whether it may be kept."""

    def __init__(self, listener: native.socket, threads: int, answer: Answer, failed: Callable[[str], None]) -> None:
        self.listener = listener
        self.door = listener.fileno()
        self.answer = answer
        self.failed = failed
        self.epoll = native.epoll()
        self.connections: dict[int, Connection] = {}
        #: Arrivals that the epoll has told of and no thread has taken.
        self.pending: deque[tuple[int, int]] = deque()
        self.seats = [Seat() for _ in range(threads)]
        #: What has been read of connections whose turn has not come, each of them locked.
        self.gathered: deque[tuple[Connection, int]] = deque()
        self.outbox = Outbox()
        self.bundling = False
        self.alone: Seat | None = None
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
        self.alone = next((seat for seat in self.seats if seat.connection is None), self.seats[0])

    def serve_together(self) -> None:
        """Let all threads serve."""
        self.alone = None
        self._give_back()
        self.outbox.send()
        for seat in self.seats:
            seat.gate.open()

    def go_home(self, deadline: float) -> bool:
        """End the threads once no connection is left; False when one came in with a thread's last step.

        1. Ring the bell, which every thread hears when it has nothing else in hand. 2. Wait for the threads. 3. Look
        at the connections again: a thread may have accepted one meanwhile (replacement.md, section 2).
        """
        self.serve_together()
        native.write(self.ringing, b"!")
        self.epoll.register(self.bell, select.EPOLLIN)
        for seat in self.seats:
            if seat.thread:
                seat.thread.join(max(0.0, deadline - time.monotonic()))
        if not self.connections or time.monotonic() >= deadline:
            return True
        self.epoll.unregister(self.bell)
        native.read(self.bell, 1)
        self._sit_down()
        return False

    def disown(self, end: Callable[[], None]) -> None:
        """In a process that the application has forked: serve nothing, and ``end`` where it comes back."""
        self.epoll.close()  # Or it would take what the worker is told.
        self.failed = lambda _words: end()
        for seat in self.seats:
            seat.steps = [0]
        for connection in self.connections.values():
            connection.gone, connection.rest = True, b""
        self.pending.clear()
        self.gathered.clear()

    def _sit_down(self) -> None:
        for number, seat in enumerate(self.seats, 1):
            seat.thread = native.Thread(f"request-{number}", partial(self._work, seat))
            seat.thread.start()

    def _work(self, seat: Seat) -> None:
        """Serve until the bell rings."""
        try:
            while self._turn(seat):
                continue
        except BaseException as error:
            self.outbox.send()
            self.failed(f"a thread of the worker ended: {type(error).__name__}: {error}")

    def _turn(self, seat: Seat) -> bool:
        connections, pending, serve = self.connections, self.pending, self._serve
        while True:
            try:
                fd, events = pending.popleft()
            except IndexError:
                fd, events = self._next(seat)
            connection = connections.get(fd)
            if connection is not None:
                serve(seat, connection, events)
                while self.alone is not None and self.alone is not seat:
                    seat.gate.wait()
            elif fd == self.bell:
                return False
            elif fd == self.door:
                self._let_in()

    def _next(self, seat: Seat) -> tuple[int, int]:
        """Wait for an arrival. Of several the rest is pending, or the other threads' where this one is not alone."""
        found = self.epoll.poll(-1, HANDFUL if self.alone is seat else 1)
        if len(found) == 1:
            return found[0]
        if self.bundling and self.alone is seat:
            self._serve_bundle(seat, found)
            return NOTHING
        self.pending.extend(found[1:])
        if self.alone is not seat:
            self._give_back()
        return found[0]

    def _give_back(self) -> None:
        """Have the epoll tell once more of what waits for its turn: whoever waits gets it."""
        while self.pending:
            try:
                fd, _events = self.pending.popleft()
                if fd != self.bell:  # It rings until all have heard it.
                    self.epoll.modify(fd, ONCE if fd == self.door else EDGE)
            except (IndexError, OSError):
                continue  # Another thread was faster; the connection or the door has been closed.
        while self.gathered:
            try:
                connection, _events = self.gathered.popleft()
                connection.unsure = True
                connection.lock.release()
                self.epoll.modify(connection.fd, EDGE | select.EPOLLOUT)  # What it said has been read; it can write.
            except (IndexError, OSError):
                continue

    def _serve_bundle(self, seat: Seat, found: list[tuple[int, int]]) -> None:
        """Read what several have said, then answer each; what is no connection's is pending.

        An answer waits for others only while the requests are quick. Whoever is held up by the next one after all is
        freed by the main thread (``serve_together``).
        """
        gathered, outbox = self.gathered, self.outbox
        for arrival in found:
            if not self._gather(*arrival):
                self.pending.append(arrival)
        if self.alone is not seat:
            self._give_back()
        quick = True
        while gathered:
            try:
                connection, events = gathered.popleft()
            except IndexError:
                break  # They have been given back.
            began = time.monotonic()
            connection.outbox = outbox if quick and gathered else None
            self._serve_locked(seat, connection, events)
            connection.outbox = None
            quick = time.monotonic() - began < QUICK
            if connection.again or not quick or len(outbox.held) >= BUNDLE:
                outbox.send()
                if connection.again:
                    self._serve(seat, connection, 0)
        outbox.send()

    def _gather(self, fd: int, events: int) -> bool:
        """Read before its turn what a connection says; False where there is no connection."""
        connection = self.connections.get(fd)
        if connection is None:
            return False
        connection.again = True
        if connection.lock.acquire(False):
            connection.again = False
            connection.take_early()
            self.gathered.append((connection, events))
        return True

    def _serve(self, seat: Seat, connection: Connection, events: int) -> None:
        """Answer what has arrived, unless another thread has the connection: that one looks again before it goes."""
        connection.again = True
        while connection.again and connection.lock.acquire(False):
            connection.again = False
            self._serve_locked(seat, connection, events)
            events = 0

    def _serve_locked(self, seat: Seat, connection: Connection, events: int) -> None:
        """Answer what has been asked, and unlock the connection, or close it: nobody gets its lock any more."""
        connection.progress += 1
        seat.connection = connection
        kept = False
        try:
            kept = connection.take()
            while kept and connection.rest:
                kept = self.answer(connection, seat)
        finally:
            if not kept:
                # Before it is closed: its number may be another's at once.
                del self.connections[connection.fd]
                if connection.outbox is not None:
                    connection.outbox.send()  # Its answer may be in there.
                connection.part()
        seat.connection = None
        seat.served += 1
        if kept:
            if connection.unsure or events & ENDS:
                connection.unsure = False
                self.epoll.modify(connection.fd, EDGE)
            connection.lock.release()

    def _let_in(self) -> None:
        """Accept one connection and look at the door again, so that several processes share what comes."""
        try:
            sock = native.accept(self.listener)
        except OSError as error:
            if error.errno in FULL:
                native.sleep(PAUSE_WHEN_FULL)
            elif error.errno not in PASSING:
                raise
        else:
            connection = Connection(sock)
            self.connections[connection.fd] = connection
            self.epoll.register(connection.fd, EDGE)
        try:
            self.epoll.modify(self.door, ONCE)
        except FileNotFoundError:
            pass  # The door has been closed meanwhile.
