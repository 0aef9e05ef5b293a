"""What an application reaches beyond its own directories, and by whose word.

1. An administrator's word opens: the namespace's limits (``reach``) and variables, and Stoa's own environment.
2. The application's own variables, which an editor sets, open what an editor may name: what lies below the roots.
3. Nobody's word opens Stoa's home or Stoa's program, and no variable opens where another application lives, or a
   directory of the system with all that is in it.
4. A link that the application may have made opens nothing.
"""

from __future__ import annotations

import bisect
import enum
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from . import ownroot
from .areas import within
from .spec import AppSpec

# The system's libraries, programs and settings, the sockets of its services, and what Python asks of the kernel.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/snap", "/run", "/sys",
    "/var/run", "/var/lock", "/var/cache/fontconfig", "/var/lib/dbus", "/var/lib/ca-certificates", "/var/lib/sss",
)  # fmt: skip
# Nothing there is opened, to read or to write; nothing is written there.
NEVER, NEVER_WRITTEN = ("/proc", "/dev"), ("/etc", "/sys")
NAMED_BY = ("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "GOOGLE_APPLICATION_CREDENTIALS", "PGSSLROOTCERT")
# Those of them that an application has from Stoa's own environment (zygotes.PASSED).
FROM_STOA = ("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH")
DATABASE, REACH = "DATABASE_URL", "reach"
PROGRAM = str(Path(__file__).parents[2])


class Source(enum.Enum):
    """Who names a path."""

    LIMITS = "the namespace’s limits"
    NAMESPACE = "the namespace"
    STOA = "Stoa’s own environment"
    APPLICATION = "the application"


@dataclass(frozen=True)
class Naming:
    """A path that a setting names; ``of_a_file`` where its directory is meant, with what a database puts beside it."""

    path: str
    setting: str
    source: Source
    write: bool = False
    of_a_file: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """The links on the way there, and what it means in the end."""
        *links, end = ownroot.way(self.path)
        return (*links, os.path.dirname(end) if self.of_a_file else end)


@dataclass(frozen=True)
class Opening:
    """What becomes of a naming. ``why_not`` it is not opened, "" where it is, and the next move (``remedy``)."""

    naming: Naming
    paths: tuple[str, ...] = ()
    why_not: str = ""
    remedy: str = ""
    widens: bool = True


def namings(spec: AppSpec, outside: Mapping[str, str]) -> Iterator[Naming]:
    """Name the paths that an application's settings name, those in its own directories too."""
    yield from (Naming(path, REACH, Source.LIMITS, write=True) for path in spec.bounds.reach)
    for name in NAMED_BY:
        source, value = _source(spec, name), spec.environment.get(name)
        if value is None and name in FROM_STOA:
            source, value = Source.STOA, outside.get(name)
        yield from (Naming(path, name, source) for path in (value or "").split(os.pathsep) if _is_whole(path))
    try:
        yield from _of_database(spec)
    except ValueError:
        pass  # It is no URL, and so it names nothing.


def _source(spec: AppSpec, name: str) -> Source:
    return Source.APPLICATION if name in spec.own_variables else Source.NAMESPACE


def _is_whole(path: str) -> bool:
    return os.path.isabs(path) and "\0" not in path


def _of_database(spec: AppSpec) -> Iterator[Naming]:
    """Name the directory of an SQLite database, or of the socket of a database server. Raises ValueError."""
    url, source = urlsplit(spec.environment.get(DATABASE, "")), _source(spec, DATABASE)
    file = unquote(url.path)[1:] if url.scheme == "sqlite" else ""
    socket = unquote(url.netloc.rpartition("@")[2]) or dict(parse_qsl(url.query)).get("host", "")
    if _is_whole(file):
        yield Naming(file, DATABASE, source, write=True, of_a_file=True)
    elif _is_whole(socket):
        yield Naming(socket, DATABASE, source)


class Reach:
    """Judge what one application's settings name.

    ``others`` returns the real directories of all applications; it is asked where something else than its own is named.
    ``outside`` is Stoa's own environment.
    """

    def __init__(
        self,
        spec: AppSpec,
        home: Path,
        others: Callable[[], Iterable[str]],
        outside: Mapping[str, str] = os.environ,
    ) -> None:
        self.spec = spec
        self.home = os.path.realpath(home)
        self.find_others = others
        self.namings = list(namings(spec, outside))
        self.directory = os.path.realpath(spec.directory)
        self.own = (self.directory, f"{self.home}/namespaces/{spec.namespace}")

    @cached_property
    def known(self) -> set[str]:
        """The links on the way to its own directories, which it reaches anyhow."""
        ways = map(tuple, map(ownroot.way, (self.spec.directory, *self.spec.python_path)))
        return {link for way in ways for link in way[:-1]}

    @cached_property
    def others(self) -> list[str]:
        """Where the other applications live, sorted: there may be a thousand, and a thousand ask."""
        return sorted(path for path in self.find_others() if path != self.directory)

    @cached_property
    def changeable(self) -> set[str]:
        """The directories in which the application may have put a link."""
        named = {naming.steps[-1] for naming in self.namings if naming.write}
        files = {os.path.realpath(self.spec.files.path)} if self.spec.files.path else set()
        parent = os.path.dirname(self.directory)
        alone = not any(within(other, parent) for other in self.others if not within(other, self.directory))
        return {*self.own, *named, *files, *([parent] if alone else [])}

    def openings(self, *, written: bool = False) -> list[Opening]:
        """Return what becomes of each naming that is not of its own directories; of those to be ``written`` alone."""
        namings = (naming for naming in self.namings if naming.write or not written)
        return [opening for naming in namings if (opening := self._opening(naming))]

    def _opening(self, naming: Naming) -> Opening | None:
        steps = naming.steps
        own = self.own if naming.write else (*self.own, *map(os.path.realpath, self.spec.python_path))
        strange = tuple(step for step in steps if not _below_any(step, own) and step not in self.known)
        if not strange:
            return None
        is_systems = not naming.write and _below_any(steps[-1], SYSTEM)
        for why_not, remedy in self._objections(naming, strange, is_systems=is_systems):
            return Opening(naming, why_not=why_not, remedy=remedy)
        return Opening(naming, strange, widens=not is_systems)

    def _objections(self, naming: Naming, strange: tuple[str, ...], *, is_systems: bool) -> Iterator[tuple[str, str]]:
        """Say why it is not opened, and what to do."""
        *links, end = naming.steps
        for step in strange:
            yield from self._closed(step)
        if any(_below_any(link, self.changeable) for link in links):
            yield "a link leads there that the application may have made", f"Name what it leads to: {end}."
        if naming.setting != REACH:
            yield from self._closed_to_variables(strange, end, write=naming.write)
        if naming.source is Source.APPLICATION and not is_systems and end in strange:
            yield from self._beyond_the_roots(naming, end)

    def _closed(self, path: str) -> Iterator[tuple[str, str]]:
        """Say what is closed to everybody's word."""
        copy = "Keep what it needs in its own directory, in its namespace’s, or outside of Stoa’s home."
        if within(path, self.home):
            yield "it lies in Stoa’s home, of which an application has its own directory and its namespace’s", copy
        if within(path, PROGRAM):
            yield "it is Stoa’s own program", copy
        if within(self.home, path) or within(PROGRAM, path):
            yield "Stoa’s own data or program lies below it", "Name a directory that has nothing else in it."
        if _below_any(path, NEVER):
            yield "it belongs to the operating system", "Name a directory elsewhere."

    def _closed_to_variables(self, strange: tuple[str, ...], end: str, *, write: bool) -> Iterator[tuple[str, str]]:
        explicit = f"If that is meant, an administrator names it in the namespace’s limits: reach: {end}"
        if self._has_others(end) or any(self._is_anothers(step) for step in strange):
            yield "another application lives there", explicit
        written = write and (end in SYSTEM or _below_any(end, NEVER_WRITTEN))
        if written or any(within(place, end) and place != end for place in SYSTEM):
            yield "it belongs to the operating system", "Name a directory that has nothing else in it."

    def _has_others(self, directory: str) -> bool:
        """Say whether another application lives in a directory or below it."""
        below = directory.rstrip("/") + "/"
        at = bisect.bisect_left(self.others, below)
        return self._is_known(directory) or (at < len(self.others) and self.others[at].startswith(below))

    def _is_anothers(self, path: str) -> bool:
        """Say whether a path is below a directory in which another application lives."""
        return any(self._is_known(str(place)) for place in (path, *Path(path).parents))

    def _is_known(self, directory: str) -> bool:
        at = bisect.bisect_left(self.others, directory)
        return at < len(self.others) and self.others[at] == directory

    def _beyond_the_roots(self, naming: Naming, end: str) -> Iterator[tuple[str, str]]:
        if not is_below(end, self.spec.roots):
            roots = " or ".join(self.spec.roots) or "its roots"
            move = f"An administrator can set {naming.setting} in the namespace, or name it in its limits: reach: {end}"
            yield f"an application’s own variables open what lies below {roots} only", move


def is_below(directory: str, roots: Iterable[str]) -> bool:
    """Say whether a directory is below one of the roots, as it is written and as its links lead."""
    places = [Path(os.path.realpath(root)) for root in roots]
    ways = {Path(os.path.realpath(directory)), Path(os.path.realpath(os.path.normpath(directory)))}
    return all(any(place in way.parents for place in places) for way in ways)


def _below_any(path: str, places: Iterable[str]) -> bool:
    return any(within(path, place) for place in places)
