"""One connection from the front: its socket, and what was read from it too early.

The socket blocks, with the kernel's timeouts: settimeout() would cost a poll() for each call (replacement.md,
section 1). Only one thread has a connection at a time. Runs inside the application's process.
"""

from __future__ import annotations

import os
import socket
import struct
from collections import deque

from . import native

# How long (seconds) the front may pause within a request that it has begun, and not take what it asked for. nginx
# gives up on a client that takes nothing for 60 s (send_timeout), so it is nginx that ends such an exchange.
READING, WRITING = 30, 90
# What one recv() takes: all of a small request, and no more memory than that needs.
GULP = 16 << 10


class ClientGone(ConnectionError):
    """The other end closed the connection, or stopped in the middle of a request."""


class Connection:
    """A connection, and how far it has come: ``progress`` counts, ``waiting`` says that the front is waited for.

    Whoever has the ``lock`` serves it; ``again`` tells him that more has arrived. ``unsure`` says that something may
    have arrived unread before the epoll told of it last; ``early`` that it has been read before its turn. An answer
    may wait in the ``outbox``, where there is one.
    """

    __slots__ = (
        *("again", "early", "fd", "gone", "lock", "outbox", "progress"),
        *("recv", "rest", "sock", "unsure", "waiting"),
    )

    def __init__(self, sock: native.socket) -> None:
        for option, seconds in ((socket.SO_RCVTIMEO, READING), (socket.SO_SNDTIMEO, WRITING)):
            sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))
        self.sock = sock
        self.fd = sock.fileno()
        self.recv = sock.recv
        self.rest = b""
        self.lock = native.allocate_lock()
        self.again = self.unsure = False
        self.gone = self.early = False
        self.outbox: Outbox | None = None
        self.progress = 0
        self.waiting = False

    def take_early(self) -> None:
        """Read for the next ``take()``."""
        self.take()
        self.early = True

    def take(self) -> bool:
        """Read what is there, which may be nothing, into ``rest``; False when the front has closed."""
        if self.early:
            self.early = False
            return not self.gone
        try:
            self.rest = data = self.recv(GULP, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self.gone = True
            return False
        if len(data) == GULP:
            self.unsure = True
        return True

    def more(self) -> bytes:
        """Wait for more and return it. Raises ClientGone."""
        self.waiting = self.unsure = True
        try:
            data = self.recv(GULP)
        except OSError as error:
            raise self._lost(error) from None
        finally:
            self._came_on()
        if not data:
            raise self._lost()
        return data

    def read_line(self, limit: int) -> bytes | None:
        """Return the next line without its CRLF, or None when it is longer than ``limit``."""
        while (end := self.rest.find(b"\r\n")) < 0:
            if len(self.rest) > limit + 1:
                return None
            self.rest += self.more()
        line, self.rest = self.rest[:end], self.rest[end + 2 :]
        return line if end <= limit else None

    def receive_into(self, view: memoryview) -> int:
        """Fill the beginning of ``view``; return how much came. Raises ClientGone."""
        if self.rest:
            taken = self.rest[: len(view)]
            self.rest = self.rest[len(taken) :]
            view[: len(taken)] = taken
            return len(taken)
        self.waiting = self.unsure = True
        try:
            count = self.sock.recv_into(view)
        except OSError as error:
            raise self._lost(error) from None
        finally:
            self._came_on()
        if not count:
            raise self._lost()
        return count

    def send(self, data: bytes) -> None:
        """Send all of it. Raises ClientGone."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise self._lost(error) from None

    def finish(self, data: bytes) -> None:
        """Send a whole answer, which may wait in the outbox if it is small. Raises ClientGone."""
        if self.outbox is None or self.rest or len(data) > GULP:
            self.send(data)
        else:
            self.outbox.held.append((self, data))

    def stream(self, data: bytes) -> None:
        """Send a part of a response of many; the front may take its time. Raises ClientGone."""
        self.waiting = True
        try:
            self.send(data)
        finally:
            self._came_on()

    def send_file(self, file: int, offset: int, count: int) -> int:
        """Send ``count`` bytes of an open file from ``offset``; return how many it lacked. Raises ClientGone."""
        while count:
            self.waiting = True
            try:
                sent = os.sendfile(self.fd, file, offset, min(count, 1 << 30))
            except OSError as error:
                raise self._lost(error) from None
            finally:
                self._came_on()
            if not sent:
                break
            offset, count = offset + sent, count - sent
        return count

    def _came_on(self) -> None:
        self.waiting = False
        self.progress += 1

    def _lost(self, error: OSError | None = None) -> ClientGone:
        self.gone = True
        return ClientGone(f"the client went away ({error})" if error else "the client went away")

    def part(self) -> None:
        """Close. What the other end still sends is read for a moment, or it could not read our answer (unix(7))."""
        try:
            if not self.gone:
                self.sock.shutdown(socket.SHUT_WR)
                self._read_what_is_there()
        except OSError:
            pass  # It has gone first.
        self.sock.close()

    def _read_what_is_there(self) -> None:
        for _ in range(64):
            if not self.sock.recv(1 << 16, socket.MSG_DONTWAIT):
                return


class Outbox:
    """Answers that wait for each other. Any thread may send them; each is sent by one."""

    def __init__(self) -> None:
        self.held: deque[tuple[Connection, bytes]] = deque()

    def send(self) -> None:
        """Send all that is there. Of a client that has gone the epoll tells."""
        while self.held:
            try:
                connection, data = self.held.popleft()
                connection.send(data)
            except (IndexError, ClientGone):
                continue
