"""Say something without ever waiting for who reads it: what cannot be said now is counted, and the count said later.

What answers requests, and what decides, writes its own lines by this. Runs inside the application's process too, under
any CPython from 3.10.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from io import TextIOBase

from .native import allocate_lock, poll, write

# A write of so many bytes comes whole or not at all (pipe(7)).
PIPE_BUF = 4096
NOWAIT = getattr(os, "RWF_NOWAIT", 0)
# Who writes has the lock for some microseconds.
PATIENCE = 0.1
# A kernel, or a Python, that cannot write so to pipes.
UNABLE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ESPIPE)
LOST = "{} lines were not written before this one: nobody read them.\n"


class Outlet(TextIOBase):
    """A text stream to a descriptor, such as a pipe that somebody may have stopped to read."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lost = 0
        self._rest = ""
        self._lock = allocate_lock()

    encoding = "utf-8"

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.fd

    def writable(self) -> bool:
        """Say that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Write whole lines; an unfinished one waits for its end."""
        *lines, rest = f"{self._rest}{text}".split("\n")
        self._rest = rest
        for line in lines:
            self.say(line)
        return len(text)

    def flush(self) -> None:
        """Write an unfinished line as it is."""
        rest, self._rest = self._rest, ""
        if rest:
            self.say(rest)

    def say(self, line: str) -> None:
        """Write a line, or count it where there is no room for it."""
        if not self._lock.acquire(timeout=PATIENCE):
            self.lost += 1  # We are a signal's handler, within a line of our own.
            return
        try:
            self._said(line)
        finally:
            self._lock.release()

    def _said(self, line: str) -> None:
        notice = LOST.format(self.lost) if self.lost else ""
        data = f"{notice}{line}\n".encode("utf-8", "backslashreplace")
        pieces = (data[at : at + PIPE_BUF] for at in range(0, len(data), PIPE_BUF))
        self.lost = 0 if all(map(self._put, pieces)) else self.lost + 1

    def _put(self, data: bytes) -> bool:
        try:
            return put(self.fd, data)
        except OSError:
            return False


def put(fd: int, data: bytes) -> bool:
    """Write at most ``PIPE_BUF`` bytes; say whether there was room for them. Raises OSError."""
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        return write(fd, data) > 0
    looking = poll()
    looking.register(fd, select.POLLOUT)
    if not looking.poll(0):
        return False
    try:
        # Somebody else may have filled it since: only this is sure not to wait (pwritev2(2)).
        return os.pwritev(fd, [data], -1, NOWAIT) > 0
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in UNABLE:
            raise
    return write(fd, data) > 0


def become() -> None:
    """Have all that this process prints go out so."""
    sys.stdout, sys.stderr = Outlet(1), Outlet(2)
