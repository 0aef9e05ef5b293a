"""From where each application's files are served, and by which links; looked at again now and then."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from .areas import Areas, LinkRefused, Place, within
from .spec import AppSpec, ServeFiles

#: How long (seconds) a look is good for, up to twice as long. It is no risk: nginx follows no link that was looked at.
GOOD_FOR = 3.0
#: The same for the links among the files, which are searched for.
SEARCH_GOOD_FOR = 30.0
#: How many links of one application are served by, and among how many entries they are searched for.
MOST_LINKS, MOST_ENTRIES = 50, 2000
#: What nginx cannot be told as a link: what is never served by its name, and what ends a path in a rewrite.
UNTOLD = re.compile(r"(?:^|/)\.|\.(?:py|wsgi|sqlite3)|\?", re.IGNORECASE)
NOWHERE = Place("")


class FilePlaces:
    """Know the place of each application's files; one without a root is served by nobody."""

    def __init__(self, home: str, areas: Callable[[], Areas]) -> None:
        self.home = home
        self.survey = areas
        self.areas: Areas | None = None
        self.known: dict[int, tuple[AppSpec, float, Place]] = {}
        self.searched: dict[int, tuple[AppSpec, float]] = {}

    def look_anew(self) -> None:
        """Forget the areas: there may be other applications now."""
        self.areas = None

    def of(self, spec: AppSpec) -> Place:
        """Return where an application's files are."""
        if not spec.files.path or spec.files.serve is ServeFiles.NO:
            return NOWHERE
        now = time.monotonic()
        known = self.known.get(spec.id)
        if known and known[0] is spec and now < known[1]:
            return known[2]
        self.areas = self.areas or self.survey()
        place = self._checked(self.areas.place(spec.files.path))
        if place.root:
            place = self._with_links(spec, place, self.areas, now)
        self.known[spec.id] = (spec, now + _spread(GOOD_FOR, spec), place)
        return place

    def _checked(self, place: Place) -> Place:
        """Have nothing served of Stoa's own data, whoever has made a link there."""
        directory = place.directory
        if within(self.home, directory) or (
            within(directory, self.home) and not within(directory, os.path.join(self.home, "csp"))
        ):
            return Place("", refused=f"{directory} is Stoa’s own or has it in it")
        return place

    def _with_links(self, spec: AppSpec, place: Place, areas: Areas, now: float) -> Place:
        """Add the links among the files: searched for, or those that were found, as they lead now."""
        known, searched = self.known.get(spec.id), self.searched.get(spec.id)
        if known and searched and searched[0] is spec and now < searched[1] and _is_same(known[2], place):
            names = [name for name, _target in known[2].links]
        else:
            self.searched[spec.id] = (spec, now + _spread(SEARCH_GOOD_FOR, spec))
            names = list(_found(place.directory))
        return replace(place, links=tuple(_told(names, place.directory, areas)))

    def forget(self, app_id: int) -> None:
        """Forget one that has gone."""
        self.known.pop(app_id, None)
        self.searched.pop(app_id, None)


def _spread(seconds: float, spec: AppSpec) -> float:
    """Not all in one tick: there may be a thousand."""
    return seconds * (1 + spec.id % 10 / 10)


def _is_same(one: Place, other: Place) -> bool:
    return (one.root, one.inside) == (other.root, other.inside)


def _found(directory: str) -> Iterator[str]:
    """Search for links in a directory and below it; name them as they are called from there."""
    left, folders = MOST_ENTRIES, [""]
    while folders and left > 0:
        folder = folders.pop()
        with suppress(OSError), os.scandir(os.path.join(directory, folder)) as entries:
            for entry in entries:
                left -= 1
                name = os.path.join(folder, entry.name)
                if left < 0 or UNTOLD.search(name):
                    continue
                if entry.is_symlink():
                    yield name
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name)


def _told(names: list[str], directory: str, areas: Areas) -> Iterator[tuple[str, str]]:
    """Say where links lead, from the directory; not those that lead out of it."""
    for name in sorted(names)[:MOST_LINKS]:
        path = os.path.join(directory, name)
        with suppress(OSError, LinkRefused):
            meant = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
            if meant != directory and within(meant, directory):  # Nothing that lies elsewhere is even looked at.
                end = areas.way(path).end
                target = os.path.relpath(end, directory)
                if end != directory and within(end, directory) and not UNTOLD.search(target):
                    yield name, target
