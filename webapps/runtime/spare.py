"""The child of a zygote that forks a worker into its PID namespace, kept ready.

A worker is born into its namespace, so a child of the zygote goes there first, forks the worker and ends (``ownpids``).
That would be two copies of the zygote for each start. So the next such child is made when the zygote has had nothing to
do for a moment, and waits, outside of any namespace, for what it is to begin. Runs under any CPython from 3.10.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from . import wire

QUIET = 0.2
DEFAULT = (signal.SIGTERM, signal.SIGCHLD)

Child = tuple[int, socket.socket]
Begin = Callable[[dict[str, Any], list[int], socket.socket], NoReturn]


class Spare:
    """At most one child; ``let_go`` gives up in it what is the zygote's alone, ``begin`` has it do what is asked."""

    def __init__(self, let_go: Callable[[], None], begin: Begin) -> None:
        self.let_go, self.begin = let_go, begin
        self.child: Child | None = None
        self.due = 0.0

    def ask(self, request: Mapping[str, Any], fds: Sequence[int]) -> Child:
        """Have a child begin what is asked for; return its process id and the way to speak to it. Raises OSError."""
        child, self.child = self.child, None
        self.due = time.monotonic() + QUIET
        if child and _has_sent(child[1], request, fds):
            return child
        pid, link = self._fork(fds)
        wire.send(link, request, fds)
        return pid, link

    def pause(self) -> float | None:
        """Return how long (seconds) nothing has to be done."""
        return max(0.0, self.due - time.monotonic()) if self.due else None

    def look(self) -> None:
        """Make the next one when it is time."""
        if self.due and time.monotonic() >= self.due:
            self.due = 0.0
            self.child = self.child or self._fork()

    def dismiss(self) -> None:
        """End the one that there is: it has not what the zygote has learnt since. Another one comes in its place."""
        if self.child:
            self.child[1].close()
            self.child, self.due = None, time.monotonic() + QUIET

    def end(self) -> None:
        """End the one that there is, and make none any more."""
        self.forget()
        self.child, self.due = None, 0.0

    def forget(self) -> None:
        """Close, in another child, what it is spoken to by."""
        if self.child:
            self.child[1].close()

    def _fork(self, fds: Sequence[int] = ()) -> Child:
        """Fork a child that has nothing of these descriptors but what it is sent."""
        ours, theirs = wire.pair()
        # One that ends it in its first moment would be taken as the zygote takes it.
        signal.pthread_sigmask(signal.SIG_BLOCK, DEFAULT)
        pid = os.fork()
        if pid == 0:
            wire.close_all(fds)
            self._wait(ours, theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, DEFAULT)
        theirs.close()
        return pid, ours

    def _wait(self, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        """Wait for what is asked, or for the end of the zygote."""
        try:
            for number in DEFAULT:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, DEFAULT)
            ours.close()
            self.let_go()
            received = wire.receive(theirs)
            if received:
                self.begin(*received, theirs)
        finally:
            os._exit(70)


def _has_sent(link: socket.socket, request: Mapping[str, Any], fds: Sequence[int]) -> bool:
    try:
        wire.send(link, request, fds)
    except OSError:  # Somebody has killed it.
        link.close()
        return False
    return True
