"""What a zygote behind walls reaches: its interpreter and the packages of its environment, and nothing of applications.

That is asked of files, not of the interpreter: to start it is to run what is installed there.
"""

from __future__ import annotations

import ast
import glob
import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import hostedfiles, ownroot, walls
from .areas import within

# Of the system what an interpreter and packages are loaded from, and not the services of the machine.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/nix", "/sys",
    "/var/cache/fontconfig", "/var/lib/ca-certificates", "/var/lib/sss",
)  # fmt: skip
RUNTIME = str(Path(__file__).parent)
# What of Stoa's own packages a zygote loads.
PACKAGES = ("gunicorn", "gunicorn_h1c", "uvloop")
# How many files that name directories elsewhere are read, and how much of each (bytes).
MOST_FILES, MOST_BYTES = 100, 256 << 10
MAPPING = re.compile(r"^MAPPING\b[^=\n]*=\s*(\{.*\})\s*$", re.MULTILINE)

Cover = Callable[[str], list[str]]


@dataclass(frozen=True)
class Nest:
    """The walls of a zygote; ``own`` is what its workers reach too, because the interpreter lives there."""

    wished: walls.Confinement
    own: tuple[str, ...]


def own(python: str, cover: Cover, elsewhere: Callable[[str], bool]) -> tuple[str, ...]:
    """Name what an interpreter needs: what it lives in, and Stoa's part of a zygote.

    ``elsewhere`` says whether a directory counts to which an environment leads (editable installs).
    """
    prefixes = list(dict.fromkeys(_prefixes(python)))
    linked = (path for prefix in prefixes for path in _linked(prefix) if elsewhere(path))
    return tuple(dict.fromkeys(_covered((*_of_executable(python), *prefixes, *linked, *_of_stoa()), cover)))


def _covered(paths: Iterable[str], cover: Cover) -> Iterator[str]:
    """Name the links on the way to each, and what it is without what is not for it."""
    for path in paths:
        *links, end = ownroot.way(path)
        yield from links
        yield from cover(end) if end != "/" else ()


def _of_stoa() -> Iterator[str]:
    yield RUNTIME
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        yield from (found.submodule_search_locations or ()) if found else ()


def _of_executable(python: str) -> Iterator[str]:
    *links, real = ownroot.way(python)
    yield from (os.path.dirname(path) for path in (python, *links, real))
    yield real  # Where its directory has other things in it, there is it alone.


def _prefixes(python: str) -> Iterator[str]:
    """Name the directories that have ``lib/python3…``: the environment's, and of the Python that it is made of."""
    *links, real = ownroot.way(python)
    for executable in (python, *links, real):
        prefix = os.path.dirname(os.path.dirname(executable))
        if glob.glob(f"{glob.escape(prefix)}/lib*/python3*"):
            yield prefix
        for line in _text(f"{prefix}/pyvenv.cfg", prefix).splitlines():
            name, _equals, value = line.partition("=")
            if name.strip() == "home" and os.path.isabs(value.strip()):
                yield os.path.dirname(os.path.normpath(value.strip()))


def _linked(prefix: str) -> Iterator[str]:
    """Name the directories elsewhere that an environment's ``.pth`` files and setuptools' finders lead to."""
    for site in glob.glob(f"{glob.escape(prefix)}/lib*/python3*/*-packages"):
        for path in sorted(glob.glob(f"{glob.escape(site)}/*.pth"))[:MOST_FILES]:
            yield from (line for line in _text(path, site).splitlines() if os.path.isabs(line))
        for path in sorted(glob.glob(f"{glob.escape(site)}/__editable__*.py"))[:MOST_FILES]:
            for found in MAPPING.findall(_text(path, site)):
                yield from _values(found)


def _values(text: str) -> Iterator[str]:
    try:
        values = ast.literal_eval(text).values()
    except (ValueError, SyntaxError, RecursionError, MemoryError, AttributeError):
        return
    yield from (os.path.dirname(value) for value in values if isinstance(value, str) and os.path.isabs(value))


def _text(path: str, below: str) -> str:
    try:
        return hostedfiles.text(path, below, MOST_BYTES)
    except (OSError, ValueError):
        return ""


def of_applications(directories: Iterable[str], environments: str) -> Callable[[str], bool]:
    """Return whether a directory is one that packages may lie in besides ``environments``, by their files' word."""
    known = [os.path.realpath(directory) for directory in directories]

    def counts(path: str) -> bool:
        end = os.path.realpath(path)
        return within(end, environments) or any(within(end, directory) for directory in known)

    return counts
