"""A page of memory that a worker and the supervisor share: how many requests it has begun, ended and moved on.

The supervisor makes one for each worker and reads it without asking. It serves sleeping, recycling, processes under
load, and finding those that hang. Runs on the zygote's side too, under any CPython from 3.10.

A worker calls ``begin()`` and ``end()`` around each request (a WebSocket is one request as long as it is open),
``moved()`` when a long answer goes on, and ``beat()`` about once a second. The WSGI worker does so itself; an ASGI
application is wrapped by ``asgi``.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

SIZE = mmap.PAGESIZE
BEGUN, ENDED, MOVED, BEAT = range(4)


def make() -> int:
    """Return the descriptor of a new page. Nobody can change its size: the reader would die of SIGBUS."""
    fd = os.memfd_create("stoa-gauge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, SIZE)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


class Gauge:
    """One worker's page. The descriptor stays its owner's."""

    def __init__(self, fd: int) -> None:
        self._words = memoryview(mmap.mmap(fd, SIZE)).cast("Q")
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Count a request that begins."""
        with self._lock:
            self._words[BEGUN] += 1

    def end(self) -> None:
        """Count a request that has ended, however it did."""
        with self._lock:
            self._words[ENDED] += 1

    def moved(self) -> None:
        """Show that a long request goes on: it does not hang."""
        self._words[MOVED] += 1  # Two threads at once may lose one; that it changes is all that counts.

    def beat(self) -> None:
        """Show that the process is alive."""
        self._words[BEAT] = time.monotonic_ns()  # One clock for all processes (clock_gettime(2)).

    @property
    def begun(self) -> int:
        """How many requests have begun."""
        return self._words[BEGUN]

    @property
    def ended(self) -> int:
        """How many requests have ended."""
        return self._words[ENDED]

    @property
    def movements(self) -> int:
        """A number that changes while long requests go on."""
        return self._words[MOVED]

    @property
    def last_beat(self) -> float:
        """When (monotonic seconds) the process last showed that it is alive; 0 where it never did."""
        return self._words[BEAT] / 1e9


def asgi(application: Callable[..., Awaitable[None]], gauge: Gauge) -> Callable[..., Awaitable[None]]:
    """Count the requests and WebSockets of an ASGI application."""

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await application(scope, receive, send)
            return
        gauge.begin()
        try:
            await application(scope, receive, send)
        finally:
            gauge.end()

    return counted
