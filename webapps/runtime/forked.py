"""What becomes of a process that the application forks while it serves.

It may work and end as it likes, and never answers for the worker whose copy it is. So it lets go of the listener and
the connections at once: a copy of one keeps the front from hearing that the worker has died. Where it comes back to the
worker's code, as with ``sys.exit()`` in a view, it ends. Runs inside the application's process under any CPython from
3.10.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, NoReturn

from . import native


def prepare(signals: Iterable[int], listener: socket.socket, part: Callable[[], None]) -> None:
    """Have every child leave this process's signals, listener and connections, and call ``part``."""
    ours = {number: signal.getsignal(number) for number in signals}
    name, parted = listener.getsockname(), list[bool]()

    def become_a_child() -> None:
        if parted:  # A child of such a child: what it has is its own, whatever numbers and names that has.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ours)
            return
        parted.append(True)
        try:
            _let_go(name)
            part()
        finally:
            _leave_signals(ours)

    os.register_at_fork(
        # A signal that comes to the child before it has left ours would be lost.
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ours),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, ours),
        after_in_child=become_a_child,
    )


def _leave_signals(ours: dict[int, Any]) -> None:
    """Have the default for signals that the application has not taken itself: a pool of processes ends by SIGTERM."""
    signal.set_wakeup_fd(-1)  # Ours, which would be told what its child is told.
    for number, handler in ours.items():
        if signal.getsignal(number) == handler:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ours)


def _let_go(name: str) -> None:
    """Put nothing in the place of each socket of that name: the listener's, which the accepted ones have too."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # The listing's own is closed again.
            if stat.S_ISSOCK(os.fstat(fd).st_mode) and _name_of(fd) == name:
                os.dup2(null, fd, inheritable=False)
    native.close(null)


def _name_of(fd: int) -> object:
    sock = native.socket(fileno=fd)
    try:
        return sock.getsockname()
    finally:
        sock.detach()


def leave(*_args: object, **_kwargs: object) -> NoReturn:
    """End this process as the exception at hand would."""
    error = sys.exc_info()[1]
    status = 1 if error else 0
    with suppress(Exception):
        if isinstance(error, SystemExit) and isinstance(error.code, int | None):
            status = error.code or 0
        elif isinstance(error, SystemExit):
            print(error.code, file=sys.stderr)
        elif error:
            traceback.print_exc()
    end(status)


def end(status: int = 0) -> NoReturn:
    """End this process. What runs at its exit is the worker's."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(status & 0xFF)
