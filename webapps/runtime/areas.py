"""Which links on the way to a directory count: the one rule, for the sandbox and for the front.

1. An *area* is a directory that hosted code may write: an application's own, its namespace's, what a namespace may use
   besides. A link in one was perhaps made by hosted code. It counts while what it means lies in the same area.
2. Every other link was made by who looks after the machine, and counts.
3. Of Stoa's home nothing is mounted but an application's own directory, which lies below ``csp`` or in its namespace's
   directory, and the latter.

What is found here is only as good as the moment. Who uses it opens it without following a link (ownroot.py, and nginx
by ``disable_symlinks``): what has changed since is refused there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MOST_LINKS = 40


class LinkRefused(OSError):
    """A link that does not count; ``path`` is where it was met, with what was still to be walked behind it."""

    def __init__(self, path: str, words: str) -> None:
        super().__init__(words)
        self.path = path


class PlaceRefused(OSError):
    """A directory of Stoa's home that no application is given."""


@dataclass(frozen=True)
class Way:
    """The way to a path: the links on it, and what it means in the end, which has none."""

    end: str
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where files are served from: ``inside`` a directory whose own way no hosted code can change ("": it itself).

    ``links`` are those among the files that lead to others of them: their name and what it means, both from there.
    ``refused`` says why nothing is found there.
    """

    root: str
    inside: str = ""
    refused: str = ""
    links: tuple[tuple[str, str], ...] = ()

    @property
    def directory(self) -> str:
        """The directory itself."""
        return os.path.join(self.root, self.inside) if self.inside else self.root


class Areas:
    """The directories that hosted code may write, by their real paths; and all that lie just below ``parents``.

    Below those, what an application left that is disabled or deleted by now is as its own.
    """

    def __init__(self, roots: Iterable[str] = (), parents: Iterable[str] = ()) -> None:
        self.roots = frozenset(roots)
        self.parents = frozenset(parents)

    def way(self, path: str) -> Way:
        """Walk to a path, as far as it is there. Raises LinkRefused."""
        links: list[str] = []
        return Way(self._end(path, links), tuple(links))

    def place(self, path: str) -> Place:
        """Say from where the files of a directory are served."""
        try:
            end, refused = self.way(path).end, ""
        except LinkRefused as error:
            end, refused = error.path, str(error)
        root = self.outermost(end) or end
        return Place(root, os.path.relpath(end, root) if root != end else "", refused)

    def innermost(self, directory: str) -> str:
        """Return the smallest area that a directory lies in, "" where it lies in none."""
        return next(filter(self._is_one, _upwards(directory)), "")

    def outermost(self, directory: str) -> str:
        """Return the largest area that a directory lies in, "" where it lies in none."""
        return next(filter(self._is_one, reversed(list(_upwards(directory)))), "")

    def _is_one(self, directory: str) -> bool:
        return directory in self.roots or os.path.dirname(directory) in self.parents

    def _end(self, path: str, links: list[str]) -> str:
        done = ""
        parts = path.split("/")
        for number, part in enumerate(parts):
            if part in ("", "."):
                continue
            if part == "..":
                done = os.path.dirname(done).rstrip("/")
                continue
            here = f"{done}/{part}"
            try:
                done = self._meant(here, links)
            except LinkRefused as error:
                error.path = "/".join([error.path, *parts[number + 1 :]])
                raise
        return done or "/"

    def _meant(self, here: str, links: list[str]) -> str:
        """Return what a path means whose directory is real: itself, or what it leads to as a link."""
        try:
            target = os.readlink(here)
        except OSError:
            return here
        if len(links) >= MOST_LINKS:
            raise LinkRefused(here, f"{here} is one of more than {MOST_LINKS} links in a row")
        links.append(here)
        directory = os.path.dirname(here)
        end = self._end(os.path.join(directory, target), links)
        area = self.innermost(directory)
        if area and not within(end, area):
            raise LinkRefused(
                here,
                f"{here} is a link to {end}. It lies where hosted code may write, and a link there is followed within "
                f"{area} only: put a directory in its place, or name what it leads to",
            )
        return end.rstrip("/")


def within(path: str, outer: str) -> bool:
    """Say whether a path is another one or lies below it."""
    return path == outer or path.startswith(outer.rstrip("/") + "/")


def _upwards(directory: str) -> Iterator[str]:
    """Name a directory and those that it lies in."""
    yield directory
    while directory not in ("/", ""):
        directory = os.path.dirname(directory)
        yield directory
