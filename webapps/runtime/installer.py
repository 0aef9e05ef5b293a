"""What an installer may reach: it runs other people's code (``setup.py``, build backends) to make an environment."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import confines, ownroot, walls
from .areas import within
from .reach import SYSTEM
from .spec import Bounds
from .trial import Account

# Indexes, proxies, certificates, the language: what an administrator has set for installers, and nothing of Stoa's.
PASSED = re.compile(
    r"(?!UV_PUBLISH)(UV_|PIP_|SSL_|REQUESTS_|LC_)\w*|LANG|PATH|HOME|USER|LOGNAME|(?i:(https?|no|all)_proxy)"
)
# Such of them as name files, which are read then.
NAMED_BY = (
    "UV_CONFIG_FILE", "UV_FIND_LINKS", "UV_CONSTRAINT", "UV_BUILD_CONSTRAINT", "UV_OVERRIDE", "PIP_CONFIG_FILE",
    "PIP_FIND_LINKS", "PIP_CERT", "PIP_CLIENT_CERT", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSL_CLIENT_CERT",
    "REQUESTS_CA_BUNDLE",
)  # fmt: skip
CHECKOUT = str(Path(__file__).parents[2])
# One process, a compiler say, may take so much (bytes); where the namespace has a limit that, but what uv needs.
MEMORY, LEAST_MEMORY = 2 << 30, 512 << 20


@dataclass(frozen=True)
class Reach:
    """What an installation may reach besides the new environment.

    ``directories`` are those of the applications whose requirements are installed, which may be written, since a build
    writes beside its source; ``bounds`` is what an administrator has set for the namespace.
    """

    directories: tuple[str, ...] = ()
    bounds: Bounds = field(default_factory=Bounds)


def passed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that an installer is started with."""
    return {name: value for name, value in environment.items() if PASSED.fullmatch(name)}


def carried(around: confines.Confines, account: Account, reach: Reach) -> dict[str, str]:
    """Return the variable that carries an installer's confinement; {} where there are no walls at all."""
    return {walls.KEY: confinement(around, account, reach).to_json()} if around.on else {}


def confinement(around: confines.Confines, account: Account, reach: Reach) -> walls.Confinement:
    """Say what an installer may reach and take; the new environment and its cache are added when they are made.

    Raises OSError while it is not known what the machine permits.
    """
    means, bounds = around.machine.means(account), reach.bounds
    around.neighbours = around.neighbours.now(around.others())
    return walls.Confinement(
        means=means,
        read=tuple(_readable(around, reach)),
        write=tuple(path for name in reach.directories for path in _own(around, name, reach.directories)),
        hide=confines.HIDDEN if means.uid else (*confines.HIDDEN, *confines.HIDDEN_FROM_ROOT),
        shared=walls.SHARED if means.mounts else (),
        memory=max(bounds.memory, LEAST_MEMORY) if bounds.memory else min(MEMORY, _memory() // 2),
        open_files=bounds.open_files or confines.OPEN_FILES,
        processes=bounds.processes or confines.PROCESSES,
        temporary=min(confines.SHARED_MEMORY, _memory() // 4),
        nice=bounds.nice,
    )


def account_of(name: str) -> Account:
    """Return an account by its name, None for "" and for one that has gone."""
    try:
        return pwd.getpwnam(name) if name else None
    except KeyError:
        return None


def _readable(around: confines.Confines, reach: Reach) -> Iterator[str]:
    for path in SYSTEM:
        yield from around.neighbours.cover(path)
    yield from (os.path.realpath(path) for path in confines.LINKED if os.path.islink(path))
    for path in (*reach.bounds.reach, *_named()):
        if not _touches(os.path.realpath(path), (str(around.home), CHECKOUT)):
            yield from ownroot.way(path)


def _named() -> Iterator[str]:
    """Name the files that Stoa's own environment, which an administrator sets, has for installers."""
    for name in NAMED_BY:
        yield from (path for path in re.split(r"[:,\s]", os.environ.get(name, "")) if os.path.isabs(path))


def _own(around: confines.Confines, directory: str, directories: Iterable[str]) -> Iterator[str]:
    """Name an application's directory and the links on the way to it.

    The application may have put a link in the place of a part of it: that leads into nothing of Stoa's or of others.
    """
    real, home = os.path.realpath(directory), str(around.home)
    others = around.neighbours.directories - {os.path.realpath(path) for path in directories}
    if within(home, real) or real in ("/", "/etc", "/usr"):
        return
    if real != _as_named(directory, home) and _touches(real, (home, CHECKOUT, *others)):
        return
    yield from ownroot.way(directory)


def _as_named(directory: str, home: str) -> str:
    """Return a directory without the links on the way to the home, which nobody else can have made."""
    for parent in Path(directory).parents:
        if os.path.realpath(parent) == home:
            return os.path.join(home, os.path.relpath(directory, parent))
    return os.path.normpath(directory)


def _touches(path: str, places: Iterable[str]) -> bool:
    return any(within(path, place) or within(place, path) for place in places)


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
