"""What an installer has made is looked at before Stoa relies on it: other people's code could write all of it.

Its packages are what applications import behind their walls. Stoa itself follows links in it, executes its interpreter
and removes it, so those are as they were when it was empty, and nothing in it is a way to elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

# Deeper than any package; what walks it or removes it needs an end.
DEPTH = 60
BESIDE_PYTHON = ("pybuilddir.txt",)


class NotWhole(Exception):
    """What was made is not an environment; the text says what is wrong with it."""


class Skeleton:
    """A new environment without packages, to which one with packages is compared."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.place = _place(target)
        self.interpreters = _interpreters(target)
        self.settings = (target / "pyvenv.cfg").read_bytes()

    def check(self) -> None:
        """Raise NotWhole where what it stands on has changed, or something in it is not simply its own."""
        if _place(self.target) != self.place:
            raise NotWhole("its directory is not the one that was made for it")
        if _interpreters(self.target) != self.interpreters:
            raise NotWhole("a package has replaced its interpreter")
        if _settings(self.target / "pyvenv.cfg") != self.settings:
            raise NotWhole("a package has changed its pyvenv.cfg")
        for entry, depth in _everything(self.target):
            if wrong := self._wrong(entry, depth):
                raise NotWhole(f"{os.path.relpath(entry.path, self.target)} {wrong}")

    def _wrong(self, entry: os.DirEntry[str], depth: int) -> str:
        found = entry.stat(follow_symlinks=False)
        if depth > DEPTH:
            return "lies too deep"
        if found.st_dev != self.place[0] or found.st_uid != self.place[2]:
            return "is not its own"
        if stat.S_ISLNK(found.st_mode):
            return "" if self._stays(entry.path) else "is a link to elsewhere"
        if stat.S_ISREG(found.st_mode):
            return _wrong_with_file(found)
        return "" if stat.S_ISDIR(found.st_mode) else "is neither a file nor a directory"

    def _stays(self, link: str) -> bool:
        """Say whether a link leads to somewhere in the environment, or is one of its interpreters."""
        name = os.path.relpath(link, self.target)
        top = os.path.realpath(self.target)
        return name in self.interpreters or os.path.realpath(link).startswith(f"{top}/")


def _wrong_with_file(found: os.stat_result) -> str:
    if found.st_nlink > 1:
        return "has a second name"
    return "is executed as another account" if found.st_mode & (stat.S_ISUID | stat.S_ISGID) else ""


def _place(target: Path) -> tuple[int, int, int]:
    found = os.lstat(target)
    if not stat.S_ISDIR(found.st_mode):
        raise NotWhole("it is no directory")
    return found.st_dev, found.st_ino, found.st_uid


def _interpreters(target: Path) -> dict[str, str]:
    """Return what Python is started by and what tells it where its library is, with where the links lead."""
    names = [f"bin/{name}" for name in os.listdir(target / "bin") if _is_pythons(name)]
    return {name: os.readlink(target / name) if os.path.islink(target / name) else "" for name in sorted(names)}


def _is_pythons(name: str) -> bool:
    return name.rstrip("0123456789.") == "python" or name.endswith("._pth") or name in BESIDE_PYTHON


def _settings(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with open(fd, "rb") as file:
        return file.read(1 << 16)


def _everything(top: Path) -> Iterator[tuple[os.DirEntry[str], int]]:
    rest = [(str(top), 1)]
    while rest:
        directory, depth = rest.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                yield entry, depth
                if entry.is_dir(follow_symlinks=False):
                    rest.append((entry.path, depth + 1))
