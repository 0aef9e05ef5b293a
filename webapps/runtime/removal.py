"""Remove what hosted code has left: directories of any depth and size, whatever is in them."""

from __future__ import annotations

import errno
import os
import threading
import time
from contextlib import suppress

# So long (seconds) a directory is removed that somebody may still be filling.
LONGEST = 600.0


_under_way: set[str] = set()


def begin(directory: str | os.PathLike[str]) -> None:
    """Remove a directory in a thread of its own, since it may be large; one that is being removed is left alone."""
    path = os.fspath(directory)
    if path not in _under_way:
        _under_way.add(path)
        threading.Thread(target=_remove, args=(path,), daemon=True).start()


def _remove(path: str) -> None:
    try:
        remove(path)
    except OSError:
        pass  # Whoever wants it gone tries again.
    finally:
        _under_way.discard(path)


def remove(directory: str | os.PathLike[str]) -> None:
    """Remove a directory and all in it, however deep it is; what cannot be removed stays. Raises OSError.

    Directories are moved up before they are emptied, so that a depth of thousands needs neither a call nor a descriptor
    for each level, as rmtree of the standard library does. No link is followed.
    """
    path = os.fspath(directory)
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        os.unlink(path)  # It is a file or a link.
        return
    try:
        _remove_all_in(top)
    finally:
        os.close(top)
    with suppress(OSError):
        os.rmdir(path)


def _remove_all_in(top: int) -> None:
    until, number, stuck = time.monotonic() + LONGEST, 0, set[str]()
    while time.monotonic() < until and (left := [name for name in _clear(top) if name not in stuck]):
        for name in left:
            number = _empty(top, name, number)
            try:
                os.rmdir(name, dir_fd=top)
            except OSError:
                stuck.add(name)


def _clear(fd: int) -> list[str]:
    """Remove all but the directories from a directory; return the names of those."""
    with os.scandir(fd) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            with suppress(OSError):
                os.unlink(name, dir_fd=fd)
    return [name for name, is_folder in found if is_folder]


def _empty(top: int, name: str, number: int) -> int:
    """Empty a directory: its files go, its directories move up to the top, under names that are free there."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    except OSError:
        return number
    try:
        for folder in _clear(fd):
            number += 1
            with suppress(OSError):
                os.rename(folder, f".{time.monotonic_ns()}-{number}", src_dir_fd=fd, dst_dir_fd=top)
    finally:
        os.close(fd)
    return number
