"""``wsgi.file_wrapper`` (PEP 3333, "Optional Platform-Specific File Handling").

Runs inside the application's process.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from typing import Any


class FileWrapper:
    """A file as a response: iterated, or sent by the kernel where it is a plain one."""

    def __init__(self, filelike: Any, blksize: int = 1 << 16) -> None:
        self.filelike = filelike
        self.blksize = blksize

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.filelike.read(self.blksize), b"")

    def close(self) -> None:
        """Close the file, as PEP 3333 demands."""
        if hasattr(self.filelike, "close"):
            self.filelike.close()

    def plain(self) -> tuple[int, int, int] | None:
        """Return descriptor, offset and size of what is left, where the descriptor gives the very bytes of read()."""
        file = self.filelike
        # Exact types: a GzipFile, say, has a descriptor too, of something else.
        if type(file) in (io.BufferedReader, io.BufferedRandom) and type(file.raw) is io.FileIO:
            if file.writable():
                file.flush()
        elif type(file) is not io.FileIO:
            return None
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            return None
        offset = file.tell()
        return file.fileno(), offset, max(0, found.st_size - offset)
