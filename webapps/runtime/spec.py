"""What the runtime is told: frozen values, no Django, no process.

Imported by the zygote's side too, so it keeps to what Python 3.10 has.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: An origin of a web page, as Cross-Origin Settings name it.
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?|https?://\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")


class Protocol(str, enum.Enum):
    """What an application speaks; ``files`` has no process at all."""

    WSGI = "wsgi"
    ASGI = "asgi"
    FILES = "files"


class State(str, enum.Enum):
    """The states of an application, as pages, logs and ``status --json`` name them."""

    ASLEEP = "asleep"
    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    FAILED = "failed"
    DISABLED = "disabled"
    FILES = "files"


class ServeFiles(int, enum.Enum):
    """The values of Serve Files (``fields.md``, section Files)."""

    NO = 0
    ALWAYS = 1
    CACHED = 2
    SECURED = 3


@dataclass(frozen=True)
class Limits:
    """How much of the machine one application may use.

    Times are seconds, sizes bytes; 0 means "no limit" for memory, requests and sleep.
    """

    processes_min: int = 1
    processes_max: int = 2
    threads: int = 4
    request_timeout: int = 60
    start_timeout: int = 60
    memory: int = 0
    max_requests: int = 0
    sleep_after: int = 900
    max_body: int = 1 << 30


@dataclass(frozen=True)
class Bounds:
    """The walls of a namespace, for each of its processes; sizes bytes, 0 means what Stoa takes by itself.

    ``memory`` is what one process may hold of data (0: no limit), ``memory_all`` what all of them may take together
    (0: no limit; acts where there are control groups), ``nice`` how far it stands back for others, ``reach``
    directories beyond its own that it may use, ``ports`` those at which it may listen itself, each pair with all
    between, 0 for those that the kernel picks.
    """

    memory: int = 0
    memory_all: int = 0
    open_files: int = 0
    processes: int = 0
    temporary: int = 0
    nice: int = 0
    reach: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Files:
    """The static files of an application: who serves them, from where, cached how long (seconds)."""

    serve: ServeFiles = ServeFiles.NO
    path: str = ""
    timeout: int = 3600


@dataclass(frozen=True)
class Cors:
    """Cross-Origin Settings: which other origins may read answers, with which headers and credentials."""

    origins: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    credentials: bool = True


@dataclass(frozen=True)
class AppSpec:
    """All that the runtime needs to know of one enabled WebApp in its Namespace.

    ``id`` is the row's key, ``revision`` rises by one with every save and is the number of the
    generation that serves it. ``environment`` is complete (namespace's, then the application's).
    ``interpreter`` is an absolute path, or "" for the namespace's own virtual environment.
    ``own_variables`` are the names of those that the application itself sets, which an editor may; ``roots`` are the
    directories below which an editor may name others.
    ``os_user`` is the account that it runs as where root has started Stoa, "" for the one that all run as.
    ``open`` is whether nobody is ever asked who he is: the front needs no gate.
    """

    id: int
    revision: int
    name: str
    host: str
    namespace: str
    protocol: Protocol
    directory: str = ""
    module: str = ""
    callable: str = "application"
    python_path: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    own_variables: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    interpreter: str = ""
    os_user: str = ""
    debug: bool = False
    open: bool = True
    health_path: str = ""
    health_status: int = 0
    limits: Limits = field(default_factory=Limits)
    files: Files = field(default_factory=Files)
    cors: Cors = field(default_factory=Cors)
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def label(self) -> str:
        """The application's name with its host in front, as logs and messages give it."""
        return f"{self.host}{self.name}"

    @property
    def mount(self) -> str:
        """The name as SCRIPT_NAME and ``root_path`` have it: without a trailing slash, "" for "/"."""
        return self.name.rstrip("/")

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as values that JSON knows."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AppSpec:
        """Build the spec that ``to_dict`` took apart."""
        known = dict(values)
        known["protocol"] = Protocol(known["protocol"])
        for name in ("python_path", "own_variables", "roots"):
            known[name] = tuple(known.get(name, ()))
        known["limits"] = Limits(**known["limits"])
        bounds = dict(known.get("bounds", {}))  # An earlier Stoa's worker was noted without.
        ports = tuple((first, last) for first, last in bounds.get("ports", ()))
        known["bounds"] = Bounds(**{**bounds, "reach": tuple(bounds.get("reach", ())), "ports": ports})
        files = dict(known["files"])
        files["serve"] = ServeFiles(files["serve"])
        known["files"] = Files(**files)
        cors = {**known["cors"]}
        known["cors"] = Cors(tuple(cors["origins"]), tuple(cors["headers"]), cors["credentials"])
        return cls(**known)


@dataclass(frozen=True)
class Route:
    """A URL prefix (and host) at the front.

    ``socket`` is the path of a Unix socket relative to the run directory, "" for files only.
    ``state`` says what the front does: pass on, or answer with a page of Stoa's own.
    Its files lie ``inside`` the directory ``root`` ("" for that one itself), and no link below that is followed; where
    no root is named, ``files.path`` is it. ``links`` among them are names that stand for others, both from there.
    """

    id: int
    name: str
    host: str
    protocol: Protocol
    socket: str = ""
    failed: bool = False
    open: bool = True
    request_timeout: int = 60
    max_body: int = 1 << 30
    files: Files = field(default_factory=Files)
    cors: Cors = field(default_factory=Cors)
    root: str = ""
    inside: str = ""
    links: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """The route's host and name, as logs and messages give them."""
        return f"{self.host}{self.name}"
