"""What hosted code can put where Stoa looks for a file or a directory: each thing by its name, made at a path."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from random import Random

TERABYTE = 1 << 40
DEEP = 1500


def fifo(path: Path) -> None:
    """A FIFO, at which whoever opens it waits for a writer."""
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    """A socket that nobody listens at."""
    directory = os.open(path.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{directory}/{path.name}")
    os.close(directory)


def device(path: Path) -> None:
    """A device without end, where root makes it."""
    os.mknod(path, 0o644 | stat.S_IFCHR, os.makedev(1, 5))


def endless_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def memory_link(path: Path) -> None:
    path.symlink_to("/proc/self/mem")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing" * 20)


def link_to_the_root(path: Path) -> None:
    path.symlink_to("/")


def directory(path: Path) -> None:
    path.mkdir()


def sparse(path: Path) -> None:
    """A file that has a terabyte and takes no room."""
    with path.open("wb") as file:
        try:
            file.truncate(TERABYTE)
        except OSError:
            file.truncate(TERABYTE >> 8)  # ext4 with small blocks has no such file.


def unreadable(path: Path) -> None:
    """A file that only root may read."""
    path.write_text("x")
    path.chmod(0)


def noise(path: Path) -> None:
    """A file with bytes that are no text."""
    path.write_bytes(bytes(range(256)) * 10)


def deep(path: Path) -> None:
    """More directories in each other than a program that calls itself can follow."""
    path.mkdir()
    here = os.open(path, os.O_DIRECTORY)
    for _level in range(DEEP):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("deep.py", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=here))
    os.close(here)


def json_without_end(path: Path) -> None:
    path.write_text("[" * 100_000)


FILES: tuple[Callable[[Path], None], ...] = (
    fifo, unix_socket, endless_link, memory_link, link_to_itself, link_to_nothing, link_to_the_root, directory,
    sparse, unreadable, noise, json_without_end,
)  # fmt: skip
THINGS = (*FILES, deep)

# Names that Stoa looks for, and that nobody would give a file.
NAMES = (
    b"requirements.txt", b"app.py", b"env", b"envs", b"static", b"pyvenv.cfg", b"json", b"log", b"lock", b"running",
    b"1", b"2", b"foo", b"007", "²".encode(), "٣".encode(), b"9" * 200, b"-1", b"x.pth", b"x.wsgi",
    b"__init__.py", b"wsgi.py",
    b"lib", b"lib64", b"python3.11", b"python3", b"site-packages", b"bin", b"python", b"requirements", b"install",
    b"\xff\xfe.py", b"\xff.wsgi", b"a\nb.py", b"a\nb.wsgi", b"\x1b[31m.txt", b"'; DROP TABLE.txt", b" ", b"~", b"*",
    b"a" * 255,
)  # fmt: skip


def make(thing: Callable[[Path], None], path: Path) -> bool:
    """Make a thing; say whether this account may, and whether there was room for it."""
    try:
        thing(path)
    except OSError:
        return False
    return True


def fill(random: Random, place: Path, depth: int = 3) -> None:
    """Fill a directory with things at names that mean something, as a number that ``random`` began with has it."""
    for raw in random.sample(NAMES, random.randint(2, 4 * depth)):
        path = place / os.fsdecode(raw)
        if depth > 1 and random.random() < 0.4:
            if make(directory, path):
                fill(random, path, depth - 1)
        elif random.random() < 0.3:
            path.write_text("x = 1\n")
        else:
            make(random.choice(FILES), path)
