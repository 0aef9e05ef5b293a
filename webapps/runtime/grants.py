"""Which directories an application is given beside the system's: as people named them, by links that count."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .areas import Areas, LinkRefused, PlaceRefused, Way, within
from .spec import AppSpec, Protocol

KNOWN_FOR = 10.0


@dataclass(frozen=True)
class Given:
    """What one application may write, and what it may read besides."""

    write: tuple[Way, ...]
    read: tuple[Way, ...]


@dataclass(frozen=True)
class Surveyed:
    """Which areas there were when these applications were last looked at."""

    key: tuple[tuple[int, int], ...] = ()
    until: float = 0.0
    areas: Areas = field(default_factory=Areas)


class Grants:
    """Say what each application is given.

    ``is_its_own`` says of a directory's parent whether it holds nothing but this application; ``opened`` names what its
    settings open to it besides (``reach``).
    """

    def __init__(
        self, home: str, is_its_own: Callable[[AppSpec, str, str], bool], opened: Callable[[AppSpec], Iterable[str]]
    ) -> None:
        self.home = home
        self.is_its_own = is_its_own
        self.opened = opened
        self.parents = tuple(os.path.join(home, name) for name in ("csp", "namespaces"))
        self.surveyed = Surveyed()

    def namespace(self, spec: AppSpec) -> str:
        """Return the directory of its namespace."""
        return str(Path(self.home) / "namespaces" / spec.namespace)

    def areas(self, specs: Sequence[AppSpec]) -> Areas:
        """Return what the hosted code of all these may write; looked up once for all that start together."""
        key = tuple((spec.id, spec.revision) for spec in specs)
        if key != self.surveyed.key or time.monotonic() > self.surveyed.until:
            self.surveyed = Surveyed(key, time.monotonic() + KNOWN_FOR, self._survey(specs))
        return self.surveyed.areas

    def _survey(self, specs: Iterable[AppSpec]) -> Areas:
        """Find the areas: as people have named them, and as the ways there lead by links that count."""
        wanted = (spec for spec in specs if spec.protocol is not Protocol.FILES)
        names = {name for spec in wanted for name in (*self._own(spec), *self._others(spec))}
        named, ends = Areas(names, self.parents), set()
        for name in names:
            with suppress(LinkRefused):
                ends.add(named.way(name).end)
        return Areas(names | ends, self.parents)

    def to(self, spec: AppSpec, specs: Sequence[AppSpec]) -> Given:
        """Walk to all that an application is given, among these.

        Raises OSError where a link does not count, or where one leads to what is not for this application.
        """
        areas = Areas(self.areas(specs).roots | self._survey([spec]).roots, self.parents)
        directory, *others = own = [areas.way(name) for name in self._own(spec)]
        _check_own(directory.end, self.home)
        areas.way(spec.files.path)  # What lies in the directory itself needs no mount, and has to be what it was.
        ends = [way.end for way in own]
        others += [way for name in self._others(spec) if self._is_given(spec, name, way := areas.way(name), ends)]
        read = [areas.way(name) for name in spec.python_path]
        for way in (*others, *read):
            _check(way.end, self.home, ends)
        return Given((directory, *others), tuple(read))

    def _own(self, spec: AppSpec) -> Iterator[str]:
        """Name what is an application's own: its directory, its namespace's, the parent that holds nothing else."""
        yield spec.directory
        yield self.namespace(spec)
        parent = os.path.dirname(spec.directory)
        if self.is_its_own(spec, os.path.realpath(parent), os.path.realpath(spec.directory)):
            yield parent

    def _others(self, spec: AppSpec) -> Iterator[str]:
        """Name what it may write besides."""
        for name in (*self.opened(spec), spec.files.path):
            if name and not within(name, spec.directory):
                yield name

    def _is_given(self, spec: AppSpec, name: str, way: Way, own: list[str]) -> bool:
        """Leave out what the front serves from another's directory: to write there nobody has said."""
        elsewhere = within(way.end, self.home) and not any(within(way.end, directory) for directory in own)
        return name != spec.files.path or not elsewhere


def _check_own(directory: str, home: str) -> None:
    """Raise PlaceRefused where a directory cannot be an application's own."""
    _check(directory, home, [directory])
    csp = os.path.join(home, "csp")
    if within(directory, home) and (directory == csp or not within(directory, csp)):
        raise PlaceRefused(f"{directory} is Stoa’s own: of {home} only what lies below csp is for applications")


def _check(path: str, home: str, own: list[str]) -> None:
    """Raise PlaceRefused where a path is not for an application that has these directories."""
    if within(home, path):
        raise PlaceRefused(f"{path} has Stoa’s own data in it, so no application is given it")
    if within(path, home) and not any(within(path, directory) for directory in own):
        raise PlaceRefused(
            f"{path} lies in Stoa’s home, of which an application is given its own directory and its namespace’s only"
        )
