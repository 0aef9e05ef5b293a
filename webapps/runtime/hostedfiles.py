"""Look at files and directories that hosted code may write: it can have put anything there, and change it meanwhile.

What is read is a regular file, opened without waiting and without following a link, and only so much of it. What is
listed is so many names, so deep, for so long. ``below`` is the directory that a person has named: from there on each
part of a path is opened by itself (open(2), O_NOFOLLOW), so that none can be a link, or become one in between.

Runs beside hosted code too, under any CPython from 3.10.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

# So many bytes of a file, and names of a directory, are looked at where nothing else is said.
MOST_BYTES = 1 << 20
MOST_NAMES = 20_000
# A walk goes so deep, and takes so long (seconds).
DEEPEST = 32
LONGEST = 0.5

# What no log, page or terminal takes as it is: control characters but tabs and ends of lines, halves of characters, and
# what turns the direction of writing.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
WAY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
KINDS = {
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a link, which Stoa does not follow here",
}


class Unreadable(OSError):
    """A file or directory is not what may be looked at; the text says why, for a person."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(errno.EINVAL, why, path)
        self.why = why

    def __str__(self) -> str:
        return f"{plain(str(self.filename))} {self.why}"


class Found(NamedTuple):
    """A file that a walk has come by: its path below where the walk began, when it was changed (ns), its size."""

    path: str
    changed: int
    size: int


class TooMuch(Exception):
    """A walk was given up: it took too long."""


def plain(text: str) -> str:
    """Return text that can be shown and written anywhere: what is not UTF-8 or no character to print is replaced."""
    return UNPRINTABLE.sub("�", text)


def read(path: str | os.PathLike[str], below: str | os.PathLike[str] = "", most: int = MOST_BYTES) -> bytes:
    """Return a file that has no more than so many bytes. Raises OSError; Unreadable where it is too large."""
    with _opened(path, below) as fd:
        data = _read(fd, most + 1)
    if len(data) > most:
        raise Unreadable(os.fspath(path), f"has more than the {most} bytes that Stoa reads of such a file")
    return data


def text(path: str | os.PathLike[str], below: str | os.PathLike[str] = "", most: int = MOST_BYTES) -> str:
    """Return a text file, with what cannot be shown replaced. Raises OSError."""
    return plain(read(path, below, most).decode("utf-8", "replace").replace("\r\n", "\n"))


def tail(path: str | os.PathLike[str], below: str | os.PathLike[str] = "", most: int = MOST_BYTES) -> str:
    """Return the end of a text file of any length. Raises OSError."""
    with _opened(path, below) as fd:
        os.lseek(fd, max(0, os.fstat(fd).st_size - most), os.SEEK_SET)
        return plain(_read(fd, most).decode("utf-8", "replace").replace("\r\n", "\n"))


def problem(path: str | os.PathLike[str], below: str | os.PathLike[str] = "") -> str:
    """Say why a file cannot be read, "" where it can; that nothing is there is ``there``'s to say."""
    try:
        with _opened(path, below):
            return ""
    except FileNotFoundError:
        return ""
    except Unreadable as error:
        return str(error)
    except OSError as error:
        return f"{plain(os.fspath(path))} cannot be read: {error.strerror}"


def there(path: str | os.PathLike[str], below: str | os.PathLike[str] = "") -> bool:
    """Say whether a file can be read."""
    try:
        with _opened(path, below):
            return True
    except OSError:
        return False


def opened(path: str | os.PathLike[str], below: str | os.PathLike[str] = "", flags: int = os.O_RDONLY) -> int:
    """Return the descriptor of a regular file that is there. Raises OSError.

    It is looked at before it is opened: opening alone can have a device do something, and wakes who waits at a FIFO.
    """
    path = os.fspath(path)
    way = _way(path, os.fspath(below))
    try:
        kind = stat.S_IFMT(os.fstat(way).st_mode)
        if kind != stat.S_IFREG:
            raise Unreadable(path, f"is {KINDS.get(kind, 'no file')}; a regular file has to be there")
        return os.open(f"/proc/self/fd/{way}", flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except Unreadable:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(way)


def written(path: str | os.PathLike[str], below: str | os.PathLike[str], mode: int = 0o640) -> int:
    """Return the descriptor of a new file to write, in place of what is there. Raises OSError."""
    folder = _way(os.path.dirname(os.fspath(path)), os.fspath(below))
    try:
        name = os.path.basename(os.fspath(path))
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)
    finally:
        os.close(folder)


def unlink(path: str | os.PathLike[str], below: str | os.PathLike[str]) -> None:
    """Remove a file, or a link itself. Raises OSError."""
    folder = _way(os.path.dirname(os.fspath(path)), os.fspath(below))
    try:
        os.unlink(os.path.basename(os.fspath(path)), dir_fd=folder)
    finally:
        os.close(folder)


def rename(path: str | os.PathLike[str], name: str, below: str | os.PathLike[str]) -> None:
    """Give a file, or a link itself, another name in its directory. Raises OSError."""
    folder = _way(os.path.dirname(os.fspath(path)), os.fspath(below))
    try:
        os.rename(os.path.basename(os.fspath(path)), name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)


def lockable(path: str | os.PathLike[str], below: str | os.PathLike[str]) -> int:
    """Return the descriptor of a file to lock, which is made where it is not there. Raises OSError."""
    try:
        return opened(path, below, os.O_RDWR)
    except FileNotFoundError:
        return written(path, below)


@contextmanager
def _opened(path: str | os.PathLike[str], below: str | os.PathLike[str]) -> Iterator[int]:
    fd = opened(path, below)
    try:
        yield fd
    finally:
        os.close(fd)


def _read(fd: int, most: int) -> bytes:
    """Read until there is no more, or enough: a file can grow while it is read."""
    pieces, size = [], 0
    while size < most and (piece := os.read(fd, min(1 << 16, most - size))):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _way(path: str, below: str) -> int:
    """Return a descriptor (O_PATH) of what is at a path, a link itself where it is one."""
    if not below:
        return os.open(path, WAY)
    parts = os.path.relpath(path, below).split("/")
    if ".." in parts:
        raise Unreadable(path, f"is not below {below}")
    way = os.open(below, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts:
        before = way
        try:
            way = os.open(part, WAY, dir_fd=before)
        except NotADirectoryError:
            raise _no_directory(path, before) from None
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None
        finally:
            os.close(before)
    return way


def _no_directory(path: str, way: int) -> OSError:
    """Say what is wrong with a part of a path that should have been a directory."""
    if stat.S_ISLNK(os.fstat(way).st_mode):
        return Unreadable(path, "is reached through a link, which Stoa does not follow here")
    return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)


@contextmanager
def _directory(path: str, below: str) -> Iterator[int]:
    """Open a directory to list it; the one that a person has named may be a link."""
    if not below or os.path.normpath(path) == os.path.normpath(below):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC)
    else:
        way = _way(path, below)
        try:
            if stat.S_ISLNK(os.fstat(way).st_mode):
                raise Unreadable(path, "is a link, which Stoa does not follow here")
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=way)
        finally:
            os.close(way)
    try:
        yield fd
    finally:
        os.close(fd)


def names(path: str | os.PathLike[str], below: str | os.PathLike[str] = "", most: int = MOST_NAMES) -> list[str]:
    """Return the names in a directory, sorted, or so many of them as the system tells first. Raises OSError."""
    with _directory(os.fspath(path), os.fspath(below)) as fd, os.scandir(fd) as entries:
        return sorted(entry.name for entry, _number in zip(entries, range(most), strict=False))


def folders(path: str | os.PathLike[str], below: str | os.PathLike[str] = "", most: int = MOST_NAMES) -> list[str]:
    """Return the names of the directories in a directory, links to some left out. Raises OSError."""
    with _directory(os.fspath(path), os.fspath(below)) as fd, os.scandir(fd) as entries:
        found = (entry for entry, _number in zip(entries, range(most), strict=False))
        return sorted(entry.name for entry in found if entry.is_dir(follow_symlinks=False))


class Walk:
    """Come by the files below a directory: so many names in all, so deep, so long; no link is followed.

    ``endings`` are those of the files that count. ``skipped`` are names of directories that are left out, as hidden
    ones are, and ``without`` leaves out each directory in which there is this name.
    """

    def __init__(
        self,
        endings: tuple[str, ...],
        skipped: frozenset[str] = frozenset(),
        without: str = "",
        most: int = MOST_NAMES,
        deepest: int = DEEPEST,
        longest: float = LONGEST,
    ) -> None:
        self.endings = endings
        self.skipped = skipped
        self.without = without
        self.left = most
        self.deepest = deepest
        self.until = time.monotonic() + longest

    def below(self, directory: str) -> Iterator[Found]:
        """Yield what is there: of each directory its files by name, then what is below. Raises TooMuch."""
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return
        yield from self._in(fd, "", self.deepest)

    def _in(self, fd: int, path: str, deeper: int) -> Iterator[Found]:
        try:
            found = sorted(self._listed(fd).items())
            if any(name == self.without for name, _is_folder in found):
                return
            for name in (name for name, is_folder in found if not is_folder and name.endswith(self.endings)):
                yield from _looked_at(fd, path, name)
            for name in (name for name, is_folder in found if is_folder):
                yield from self._in_folder(fd, path, name, deeper)
        finally:
            os.close(fd)

    def _listed(self, fd: int) -> dict[str, bool]:
        """Return the names in a directory, as far as there are names left, and whether each is one of its own."""
        found = {}
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if self.left <= 0:
                        break
                    if time.monotonic() > self.until:
                        raise TooMuch
                    self.left -= 1
                    found[entry.name] = entry.is_dir(follow_symlinks=False)
        except OSError:
            pass  # It is being removed just now.
        return found

    def _in_folder(self, fd: int, path: str, name: str, deeper: int) -> Iterator[Found]:
        if not deeper or name.startswith(".") or name in self.skipped:
            return
        try:
            folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
        except OSError:
            return
        yield from self._in(folder, f"{path}{name}/", deeper - 1)


def _looked_at(fd: int, path: str, name: str) -> Iterator[Found]:
    try:
        found = os.stat(name, dir_fd=fd)  # Of a link that is what it leads to, since that is what would run.
    except OSError:
        return  # It is being replaced just now; the next look sees it.
    yield Found(path + name, found.st_mtime_ns, found.st_size)
