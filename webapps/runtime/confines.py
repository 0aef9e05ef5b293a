"""What each application may reach and take, worked out by the supervisor; what the machine permits, asked once."""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from . import ownroot, seclusion, wallreport, walls
from .cgroups import Delegated
from .owners import Owners, own
from .spec import AppSpec, Protocol

# The system's libraries, programs and settings, the sockets of its services, and what Python asks of the kernel.
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/snap", "/run", "/sys",
    "/var/run", "/var/lock", "/var/cache/fontconfig", "/var/lib/dbus", "/var/lib/ca-certificates", "/var/lib/sss",
)  # fmt: skip
# What /etc may have as a link to elsewhere: names, time, certificates.
LINKED = ("/etc/resolv.conf", "/etc/hosts", "/etc/localtime", "/etc/nsswitch.conf", "/etc/machine-id")
# Who may ask there has processes started for him that no wall is around: the account's own service manager and desktop,
HIDDEN = ("/run/user",)
# and what asks no more of a caller than to be root.
HIDDEN_FROM_ROOT = (
    "/run/dbus", "/run/systemd/private", "/run/systemd/system", "/run/initctl", "/run/udev", "/run/snapd.socket",
    "/run/docker.sock", "/run/docker", "/run/containerd", "/run/podman", "/run/crio", "/run/lxd", "/run/libvirt",
)  # fmt: skip
# Of a namespace's directory these are Stoa's: what an application could put there, Stoa would run or overwrite.
STOAS = ("envs", "requirements", "install")
NAMED_BY = ("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH", "GOOGLE_APPLICATION_CREDENTIALS", "PGSSLROOTCERT")
OPEN_FILES, PROCESSES, SHARED_MEMORY = 8192, 512, 1 << 30
TRY_FOR = 10.0
KNOWN_FOR = 10.0
GONE = "gone-"


Account = pwd.struct_passwd | None


class Confines:
    """Say for each worker what it may reach."""

    def __init__(self, home: Path, owners: Owners, others: Callable[[], Iterable[AppSpec]]) -> None:
        self.home = Path(os.path.realpath(home))
        self.owners = owners
        self.others = others
        self.on = os.environ.get("STOA_WALLS", "1") != "0"
        self.temporary = self.home / "run" / "tmp"
        self.neighbours = Neighbours(self.home)
        self._means: dict[int, walls.Means] = {}

    def means(self, account: Account) -> walls.Means:
        """Return what the machine permits to an account that applications run as."""
        uid = account.pw_uid if account else os.geteuid()
        if uid not in self._means:
            read = tuple(path for name in SYSTEM for path in self.neighbours.cover(name))
            hide = (*HIDDEN, *HIDDEN_FROM_ROOT)
            self._means[uid] = ask(account, walls.Confinement(read=read, hide=hide, processes=PROCESSES))
        return self._means[uid]

    def report(self, delegated: Delegated) -> list[dict[str, Any]]:
        """Return which walls hold, for the status, where this control group is delegated."""
        user = self.owners.user
        means = self.means(pwd.getpwnam(user) if user else None) if self.on else walls.Means()
        own_kept = seclusion.is_secluded()
        return [dataclasses.asdict(wall) for wall in wallreport.report(means, delegated, on=self.on, own=own_kept)]

    def of(self, spec: AppSpec) -> dict[str, str]:
        """Return the part of a worker's first environment that carries its confinement.

        Raises OSError where its account is not there.
        """
        account = self._account(spec)
        return {walls.KEY: self.confinement(spec, account).to_json()} if self.on else {}

    def confinement(self, spec: AppSpec, account: Account) -> walls.Confinement:
        """Say what one application may reach and take."""
        means, bounds = self.means(account), spec.bounds
        namespace = self.home / "namespaces" / spec.namespace
        self.neighbours = self.neighbours.now(self.others())
        self._prepare(namespace, account)
        return walls.Confinement(
            means=means,
            read=tuple(self._readable(spec, namespace)),
            write=tuple(self._writable(spec, namespace, account)),
            hide=HIDDEN if means.uid else (*HIDDEN, *HIDDEN_FROM_ROOT),
            shared=walls.SHARED if means.mounts else tuple(self._shared()),
            private="" if bounds.temporary or not means.mounts else self._private(spec, account),
            home=str(namespace / "home"),
            memory=bounds.memory,
            open_files=bounds.open_files or OPEN_FILES,
            processes=bounds.processes or PROCESSES,
            temporary=bounds.temporary or min(SHARED_MEMORY, _memory() // 4),
            nice=bounds.nice,
            ports=bounds.ports,
        )

    def _account(self, spec: AppSpec) -> Account:
        try:
            return self.owners.of(spec)
        except KeyError:
            raise OSError(f"this machine has no user {spec.os_user}") from None

    def _prepare(self, namespace: Path, account: Account) -> None:
        """Make what has to be there, so that nothing else can be put in its place."""
        for name in (*STOAS, "home"):
            _make(namespace / name, 0o750, account)

    def _private(self, spec: AppSpec, account: Account) -> str:
        """Make the temporary directories that the processes of an application share."""
        self.temporary.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.temporary.chmod(0o711)
        directory = self.temporary / str(spec.id)
        own(directory, account)
        directory.chmod(0o700)
        for name in ownroot.TEMPORARY.values():
            _make(directory / name, 0o1777, account)
        return str(directory)

    def forget(self, app_id: int) -> None:
        """Remove what an application has left in its temporary directories; that may take a while."""
        directory = self.temporary / str(app_id)
        if directory.is_dir():
            directory.rename(self.temporary / f"{GONE}{app_id}-{time.time_ns()}")
        for gone in self.temporary.glob(f"{GONE}*"):
            threading.Thread(target=shutil.rmtree, args=(gone, True), daemon=True).start()

    def _readable(self, spec: AppSpec, namespace: Path) -> Iterator[str]:
        for path in SYSTEM:
            yield from self.neighbours.cover(path)
        yield from (os.path.realpath(path) for path in LINKED if os.path.islink(path))
        yield from (str(namespace / name) for name in STOAS)
        for path in spec.python_path:
            yield from ownroot.way(path)
        yield from ownroot.way(spec.directory)
        if socket := _socket_of_database(spec):
            yield from ownroot.way(socket)
        for name in NAMED_BY:
            for path in spec.environment.get(name, os.environ.get(name, "")).split(os.pathsep):
                if os.path.isabs(path):
                    yield from ownroot.way(path)

    def _shared(self) -> Iterator[str]:
        """Name everybody's temporary directories, without what lies in them and is not this application's."""
        for path in walls.SHARED:
            yield from self.neighbours.cover(path)

    def _writable(self, spec: AppSpec, namespace: Path, account: Account) -> Iterator[str]:
        yield str(namespace)
        directory = os.path.realpath(spec.directory)
        yield directory
        for path in (*spec.bounds.reach, *filter(None, (spec.files.path, self._database(spec)))):
            yield from ownroot.way(path)
        parent = os.path.dirname(directory)
        if self._is_its_own(parent, directory, account):
            yield parent

    def _database(self, spec: AppSpec) -> str:
        """Return the directory of an SQLite database that lies elsewhere, "" where there is none."""
        url = urlsplit(spec.environment.get("DATABASE_URL", ""))
        directory = os.path.dirname(os.path.realpath(unquote(url.path)[1:])) if url.scheme == "sqlite" else ""
        forbidden = not os.path.isabs(unquote(url.path)[1:]) or _within(str(self.home), directory)
        return "" if forbidden or directory in ("/", "/etc", "/usr") else directory

    def _is_its_own(self, parent: str, directory: str, account: Account) -> bool:
        """Say whether the parent, which is the last on sys.path, holds nothing but this application.

        That is so for a project with its settings in a directory of their own, not for a directory of applications.
        """
        if len(Path(parent).parts) < 3 or parent in ("/var/tmp", *_homes(account)):  # noqa: S108
            return False
        csp = str(self.home / "csp")
        if _within(str(self.home), parent) or (_within(parent, str(self.home)) and not _within(parent, csp)):
            return False
        return parent != csp and self.neighbours.none_below(parent, directory)


def _homes(account: Account) -> tuple[str, ...]:
    """Name the directories in which people keep all sorts of things."""
    return (os.path.expanduser("~"), account.pw_dir if account else "/root")


def _make(directory: Path, mode: int, account: Account) -> None:
    if directory.is_dir():
        return
    directory.mkdir(parents=True, exist_ok=True)
    # Applications may write where it lies: what is changed is the directory, not what they have put in its place.
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(fd, mode)
        if account:
            os.fchown(fd, account.pw_uid, account.pw_gid)
    finally:
        os.close(fd)


class Neighbours:
    """Where the applications lie: what is in the way when one of them is to reach a directory of the system."""

    def __init__(self, home: Path, key: tuple[tuple[int, str], ...] = ()) -> None:
        self.home = home
        self.key = key
        self.until = time.monotonic() + KNOWN_FOR
        self.directories = {os.path.realpath(directory) for _id, directory in key}
        self.covers: dict[str, list[str]] = {}

    def now(self, specs: Iterable[AppSpec]) -> Neighbours:
        """Return what is so now; a thousand applications that start at once ask for it a thousand times."""
        key = tuple(
            (spec.id, spec.directory) for spec in specs if spec.directory and spec.protocol is not Protocol.FILES
        )
        if key == self.key and time.monotonic() < self.until:
            return self
        return Neighbours(self.home, key)

    def cover(self, path: str) -> list[str]:
        """Return paths that together are ``path`` without Stoa's home and the applications."""
        if path not in self.covers:
            self.covers[path] = cover(path, self.directories | {str(self.home)})
        return self.covers[path]

    def none_below(self, outer: str, spared: str) -> bool:
        """Say whether no application lies below a directory, those apart that lie below the spared one."""
        return not any(_within(path, outer) and not _within(path, spared) for path in self.directories)


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


def _socket_of_database(spec: AppSpec) -> str:
    """Return the directory of a database server's socket, "" where it is asked over the network."""
    url = urlsplit(spec.environment.get("DATABASE_URL", ""))
    host = unquote(url.netloc.rpartition("@")[2]) or dict(parse_qsl(url.query)).get("host", "")
    return host if os.path.isabs(host) else ""


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def ask(account: pwd.struct_passwd | None, wished: walls.Confinement) -> walls.Means:
    """Have a process of the account try which walls the machine permits around what every application reaches."""
    identity: dict[str, Any] = {}
    if account:
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
    try:
        done = subprocess.run(
            [sys.executable, "-m", walls.__name__],
            env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.defpath, walls.KEY: wished.to_json()},
            cwd="/",
            capture_output=True,
            timeout=TRY_FOR,
            check=True,
            **identity,
        )
        return walls.Means.from_dict(json.loads(done.stdout))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return walls.Means(uid=account.pw_uid if account else os.geteuid(), why_no_mounts=f"the trial failed: {error}")
