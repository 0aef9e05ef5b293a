"""Append whole lines to a file that is rotated by size.

A file has one writer; ``rotate_when_large`` is for files that somebody else writes (nginx), who has
to be told to open his file again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LIMIT = 10 << 20
BACKUPS = 5
CHECK_EVERY = 1.0

Notice = Callable[[int, str], bytes]
Clock = Callable[[], float]


def history(path: Path, backups: int = BACKUPS) -> list[Path]:
    """Name the file and its backups, newest first, whether they are there or not."""
    return [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, backups + 1))]


def rotate(path: Path, backups: int = BACKUPS) -> None:
    """Make the file the first of its backups; the oldest one goes.

    Raises OSError. A reader who opens the newest first misses no line meanwhile.
    """
    names = history(path, backups)
    for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
        try:
            newer.replace(older)
        except FileNotFoundError:
            continue


def rotate_when_large(path: Path, limit: int = LIMIT, backups: int = BACKUPS) -> bool:
    """Rotate a file of ``limit`` bytes or more; return whether it was. Raises OSError."""
    try:
        large = path.stat().st_size >= limit
    except FileNotFoundError:
        return False
    if large:
        rotate(path, backups)
    return large


class LogFile:
    """A file of whole lines that never raises: what cannot be written is counted.

    ``notice(lost, reason)`` makes the line that is written first as soon as writing works again.
    """

    def __init__(
        self,
        path: Path,
        notice: Notice,
        *,
        limit: int = LIMIT,
        backups: int = BACKUPS,
        clock: Clock = time.monotonic,
    ) -> None:
        self.path = path
        self.lost = 0
        self._notice = notice
        self._limit = limit
        self._backups = backups
        self._clock = clock
        self._reason = ""
        self._fd = -1
        self._size = 0
        self._checked = 0.0

    def append(self, data: bytes = b"") -> None:
        """Write whole lines in one go, after the notice of those that were lost before."""
        try:
            self._prepare(len(data))
        except OSError as error:
            self._lose(data, 0, error)
            return
        if self.lost:
            lost, self.lost = self.lost, 0
            if not self._put(self._notice(lost, self._reason)):
                self.lost = lost
        self._put(data)

    def close(self) -> None:
        """Close the file; the next line opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _put(self, data: bytes) -> bool:
        """Write these lines, or as many whole ones as fit; count the others."""
        try:
            self._write(data)
        except OSError as error:
            self._lose(data, self._take_back(data), error)
            return False
        return True

    def _lose(self, data: bytes, kept: int, error: OSError) -> None:
        self.lost += data.count(b"\n", kept)
        self._reason = error.strerror or str(error)

    def _prepare(self, coming: int) -> None:
        """Have the right file open, with room for what comes."""
        now = self._clock()
        if self._fd >= 0 and now - self._checked >= CHECK_EVERY:
            self._checked = now
            self._check()
        if self._fd < 0:
            self._open()
        if self._size and self._size + coming > self._limit:
            self._rotate()

    def _check(self) -> None:
        """Let go of a file that somebody moved or deleted; see how long it is now."""
        ours = os.fstat(self._fd)
        try:
            theirs = self.path.stat()
        except FileNotFoundError:
            self.close()
            return
        if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
            self.close()
        self._size = ours.st_size

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._checked = self._clock()
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            self._write(b"\n")  # what a power cut left of a line must not swallow ours

    def _rotate(self) -> None:
        try:
            rotate(self.path, self._backups)
        except OSError:
            return  # a line in a file that is too long is better than no line
        self.close()
        self._open()

    def _write(self, data: bytes) -> None:
        """Write all of it: the kernel takes less than all only where it is about to refuse."""
        written = 0
        while written < len(data):
            written += os.write(self._fd, data[written:] if written else data)
        self._size += written

    def _take_back(self, data: bytes) -> int:
        """Remove what was written of a line that did not fit; return how many bytes stay."""
        written = os.fstat(self._fd).st_size - self._size
        if not 0 < written < len(data):
            return 0
        stay = data.rfind(b"\n", 0, written) + 1
        with suppress(OSError):
            os.ftruncate(self._fd, self._size + stay)
        self._size += stay
        return stay
