"""What each application may reach and take, worked out by the supervisor; what the machine permits, asked once."""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from . import walls
from .spec import AppSpec, Protocol

# The system's libraries, programs and settings, the sockets of its services, and what Python asks of the kernel.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/snap", "/run", "/sys",
    "/var/run", "/var/lock", "/var/cache/fontconfig", "/var/lib/dbus", "/var/lib/ca-certificates",
)  # fmt: skip
# Of a namespace's directory these are Stoa's: what an application could put there, Stoa would run or overwrite.
STOAS = ("envs", "requirements", "install")
NAMED_BY = ("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "GOOGLE_APPLICATION_CREDENTIALS", "PGSSLROOTCERT")
OPEN_FILES, PROCESSES, TEMPORARY = 8192, 512, 1 << 30
TRY_FOR = 10.0


class Confines:
    """Say for each worker what it may reach."""

    def __init__(self, home: Path, user: str, others: Callable[[], Iterable[AppSpec]]) -> None:
        self.home = Path(os.path.realpath(home))
        self.account = pwd.getpwnam(user) if user else None
        self.others = others
        self.on = os.environ.get("STOA_WALLS", "1") != "0"
        self._means: walls.Means | None = None

    @property
    def means(self) -> walls.Means:
        """What the machine permits to the account that applications run as."""
        if self._means is None:
            self._means = ask(self.account)
        return self._means

    def report(self) -> list[dict[str, Any]]:
        """Return which walls hold, for the status."""
        means = self.means if self.on else walls.Means()
        return [dataclasses.asdict(wall) for wall in walls.report(means, on=self.on)]

    def of(self, spec: AppSpec) -> dict[str, str]:
        """Return the part of a worker's first environment that carries its confinement."""
        return {walls.KEY: self.confinement(spec).to_json()} if self.on else {}

    def confinement(self, spec: AppSpec) -> walls.Confinement:
        """Say what one application may reach and take."""
        means, bounds = self.means, spec.bounds
        namespace = self.home / "namespaces" / spec.namespace
        if means.files:
            self._prepare(namespace)
        return walls.Confinement(
            means=means,
            read=tuple(self._readable(spec, namespace)),
            write=tuple(self._writable(spec, namespace)),
            shared=tuple(self._shared(spec)),
            home=str(namespace / "home"),
            memory=bounds.memory,
            open_files=bounds.open_files or OPEN_FILES,
            processes=bounds.processes or PROCESSES,
            temporary=bounds.temporary or min(TEMPORARY, _memory() // 4),
            nice=bounds.nice,
        )

    def _prepare(self, namespace: Path) -> None:
        """Make what has to be there, so that nothing else can be put in its place."""
        for name in (*STOAS, "home"):
            directory = namespace / name
            if not directory.is_dir():
                directory.mkdir(mode=0o750, parents=True, exist_ok=True)
                if self.account:
                    os.chown(directory, self.account.pw_uid, self.account.pw_gid)

    def _holes(self, spec: AppSpec) -> set[str]:
        """Name what lies in the way of this application: Stoa's home and the directories of the others."""
        own = os.path.realpath(spec.directory)
        others = {os.path.realpath(other.directory) for other in self.others() if other.protocol is not Protocol.FILES}
        return {str(self.home)} | {other for other in others if not _within(own, other)}

    def _readable(self, spec: AppSpec, namespace: Path) -> Iterator[str]:
        holes = self._holes(spec)
        for path in SYSTEM:
            yield from cover(path, holes)
        yield from (str(namespace / name) for name in STOAS)
        yield from map(os.path.realpath, spec.python_path)
        for name in NAMED_BY:
            yield from filter(os.path.isabs, spec.environment.get(name, os.environ.get(name, "")).split(os.pathsep))

    def _shared(self, spec: AppSpec) -> Iterator[str]:
        """Name the temporary directories, without what lies in them and is not this application's."""
        holes = set() if self.means.mounts else self._holes(spec)
        for path in (walls.TMP, walls.VARTMP, walls.SHM):
            yield from cover(path, holes)

    def _writable(self, spec: AppSpec, namespace: Path) -> Iterator[str]:
        directory = os.path.realpath(spec.directory)
        yield from ("/proc", directory, str(namespace))
        yield from map(os.path.realpath, spec.bounds.reach)
        if spec.files.path:
            yield os.path.realpath(spec.files.path)
        if database := self._database(spec):
            yield database
        parent = os.path.dirname(directory)
        if self._is_its_own(parent, directory):
            yield parent

    def _database(self, spec: AppSpec) -> str:
        """Return the directory of an SQLite database that lies elsewhere, "" where there is none."""
        url = urlsplit(spec.environment.get("DATABASE_URL", ""))
        directory = os.path.dirname(os.path.realpath(unquote(url.path)[1:])) if url.scheme == "sqlite" else ""
        forbidden = not os.path.isabs(unquote(url.path)[1:]) or _within(str(self.home), directory)
        return "" if forbidden or directory in ("/", "/etc", "/usr") else directory

    def _is_its_own(self, parent: str, directory: str) -> bool:
        """Say whether the parent, which is the last on sys.path, holds nothing but this application.

        That is so for a project with its settings in a directory of their own, not for a directory of applications.
        """
        if len(Path(parent).parts) < 3 or _within(str(self.home), parent) or parent == str(self.home / "csp"):
            return False
        if parent == os.path.expanduser("~") or parent in ("/tmp", "/var/tmp"):  # noqa: S108
            return False
        if not _within(parent, str(self.home / "csp")) and _within(parent, str(self.home)):
            return False
        return not any(
            _within(os.path.realpath(other.directory), parent)
            for other in self.others()
            if other.directory and not _within(os.path.realpath(other.directory), directory)
        )


def _within(path: str, outer: str) -> bool:
    return path == outer or path.startswith(outer.rstrip("/") + "/")


def cover(path: str, holes: set[str]) -> list[str]:
    """Return paths that together are ``path`` without the holes; links stay links."""
    if os.path.islink(path):
        return [path]
    below = {hole for hole in holes if _within(hole, path)}
    if not below:
        return [path] if os.path.exists(path) else []
    if path in below:
        return []
    return [part for name in sorted(os.listdir(path)) for part in cover(os.path.join(path, name), below)]


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def ask(account: pwd.struct_passwd | None) -> walls.Means:
    """Have a process of the account try what the machine permits."""
    identity: dict[str, Any] = {}
    if account:
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
    try:
        done = subprocess.run(
            [sys.executable, "-m", walls.__name__],
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.defpath},
            cwd="/",
            capture_output=True,
            timeout=TRY_FOR,
            check=True,
            **identity,
        )
        return walls.Means.from_dict(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return walls.Means(uid=account.pw_uid if account else os.geteuid(), why_no_mounts=f"the trial failed: {error}")
