"""What each application may reach and take, worked out by the supervisor."""

from __future__ import annotations

import dataclasses
import os
import pwd
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import nestreach, ownroot, removal, seclusion, wallreport, walls
from .areas import Areas, within
from .cgroups import Delegated
from .grants import KNOWN_FOR, Grants
from .machine import machine
from .owners import Owners, own
from .reach import SYSTEM, Opening, Reach
from .spec import AppSpec, Protocol
from .trial import Account
from .wallmode import WallMode

# What /etc may have as a link to elsewhere: names, time, certificates.
LINKED = ("/etc/resolv.conf", "/etc/hosts", "/etc/localtime", "/etc/nsswitch.conf", "/etc/machine-id")
# Who may ask there has processes started for him that no wall is around: the account's own service manager and desktop,
HIDDEN = ("/run/user",)
# and what asks no more of a caller than to be root.
HIDDEN_FROM_ROOT = (
    "/run/dbus", "/run/systemd/private", "/run/systemd/system", "/run/initctl", "/run/udev", "/run/snapd.socket",
    "/run/docker.sock", "/run/docker", "/run/containerd", "/run/podman", "/run/crio", "/run/lxd", "/run/libvirt",
)  # fmt: skip
# An installer's notes are not for applications: what can be opened to be read can be locked (flock(2)).
NOTES = "install"
# Of a namespace's directory these are Stoa's: what an application could put there, Stoa would run or overwrite.
STOAS = ("envs", "requirements", NOTES)
OPEN_FILES, PROCESSES, SHARED_MEMORY = 8192, 512, 1 << 30
GONE = "gone-"


class Confines:
    """Say for each worker what it may reach."""

    def __init__(
        self,
        home: Path,
        owners: Owners,
        others: Callable[[], Iterable[AppSpec]],
        wake: Callable[[], None] = lambda: None,
        say: Callable[[str, str], None] = lambda _text, _level: None,
    ) -> None:
        self.home = Path(os.path.realpath(home))
        self.owners = owners
        self.others = others
        self.machine = machine(self.home / "run", owners.user, self._of_every_application, wake, say)
        self.on = self.machine.mode is not WallMode.OFF
        self.temporary = self.home / "run" / "tmp"
        self.neighbours = Neighbours(self.home)
        self.grants = Grants(str(self.home), self._is_its_own, self._opened)

    def _of_every_application(self) -> walls.Confinement:
        """Return what the machine is asked for: what every application reaches."""
        read = tuple(path for name in SYSTEM for path in self.neighbours.cover(name))
        return walls.Confinement(read=read, hide=(*HIDDEN, *HIDDEN_FROM_ROOT), processes=PROCESSES)

    def begin(self) -> None:
        """Have the machine asked what it permits to the account that most applications run as."""
        self.machine.waiting(self._account_of_most())

    def _account_of_most(self) -> Account:
        return pwd.getpwnam(self.owners.user) if self.owners.user else None

    def report(self, delegated: Delegated) -> list[dict[str, Any]]:
        """Return which walls hold, for the status, where this control group is delegated."""
        account = self._account_of_most()
        if self.machine.waiting(account):
            words = "; ".join(self.machine.warnings()) or "this machine is being asked which it permits"
            return [dataclasses.asdict(wallreport.Wall("Walls", False, words))]
        means = self.machine.means(account) if self.on else walls.Means()
        own_kept = seclusion.is_secluded()
        return [dataclasses.asdict(wall) for wall in wallreport.report(means, delegated, on=self.on, own=own_kept)]

    def waiting(self, spec: AppSpec) -> str:
        """Say what an application has to wait for before it can be confined, "" where it need not."""
        return self._of_account(spec, self.machine.waiting)

    def problem(self, spec: AppSpec) -> str:
        """Say why an application may not start: a wall does not hold, and all are required."""
        return self._of_account(spec, self.machine.problem)

    def lets(self, spec: AppSpec) -> bool:
        """Say whether one more worker of an application may start."""
        return not self.waiting(spec) and not self.problem(spec)

    def _of_account(self, spec: AppSpec, words: Callable[[Account], str]) -> str:
        try:
            return words(self._account(spec)) if self.on else ""
        except OSError:
            return ""  # There is no such account, which its start says.

    def of(self, spec: AppSpec) -> dict[str, str]:
        """Return the part of a worker's first environment that carries its confinement.

        Raises OSError where its account is not there.
        """
        account = self._account(spec)
        return {walls.KEY: self.confinement(spec, account).to_json()} if self.on else {}

    def confinement(self, spec: AppSpec, account: Account) -> walls.Confinement:
        """Say what one application may reach and take."""
        means, bounds = self.machine.means(account), spec.bounds
        namespace = self.home / "namespaces" / spec.namespace
        specs = list(self.others())
        self.neighbours = self.neighbours.now(specs)
        self._prepare(namespace, account)
        given = self.grants.to(spec, specs)
        links = (link for way in (*given.write, *given.read) for link in way.links)
        return walls.Confinement(
            means=means,
            read=(*self._readable(spec, namespace), *links, *(way.end for way in given.read)),
            write=tuple(way.end for way in given.write),
            hide=(*HIDDEN, *(() if means.uid else HIDDEN_FROM_ROOT), str(namespace / NOTES)),
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

    def nest(self, python: str, user: str) -> nestreach.Nest | None:
        """Say what the zygote of an interpreter and an account may reach, None where no wall can be around it."""
        account = pwd.getpwnam(user) if user else self._account_of_most()
        if not self.on or not self.machine.means(account).nests:
            return None
        means, specs = self.machine.means(account), list(self.others())
        self.neighbours = self.neighbours.now(specs)
        own = nestreach.own(python, self.neighbours.cover, self._leads_to(python, specs))
        system = (path for name in nestreach.SYSTEM for path in self.neighbours.cover(name))
        linked = (os.path.realpath(path) for path in LINKED if os.path.islink(path))
        return nestreach.Nest(walls.Confinement(means, read=(*system, *linked, *own)), own)

    def _leads_to(self, python: str, specs: Iterable[AppSpec]) -> Callable[[str], bool]:
        """Say where packages may lie besides an environment: in the directories of its namespace's applications.

        An interpreter that an administrator has named may say so itself, but not of what is Stoa's.
        """
        namespaces = self.home / "namespaces"
        if not within(python, str(namespaces)):
            return lambda path: not within(os.path.realpath(path), str(self.home))
        name = Path(python).relative_to(namespaces).parts[0]
        directories = [spec.directory for spec in specs if spec.namespace == name and spec.directory]
        return nestreach.of_applications(directories, str(namespaces / name / "envs"))

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
            removal.begin(gone)

    def _readable(self, spec: AppSpec, namespace: Path) -> Iterator[str]:
        for path in SYSTEM:
            yield from self.neighbours.cover(path)
        yield from (os.path.realpath(path) for path in LINKED if os.path.islink(path))
        yield from (str(namespace / name) for name in STOAS if name != NOTES)
        for opening in self._openings(spec):
            yield from opening.paths[:-1] if opening.naming.write else opening.paths

    def _openings(self, spec: AppSpec, *, written: bool = False) -> list[Opening]:
        """Return what its settings open to it besides its own."""
        found = Reach(spec, self.home, lambda: self.neighbours.directories).openings(written=written)
        return [opening for opening in found if not opening.why_not]

    def _opened(self, spec: AppSpec) -> list[str]:
        """Name what of that it may write."""
        return [opening.naming.steps[-1] for opening in self._openings(spec, written=True)]

    def _shared(self) -> Iterator[str]:
        """Name everybody's temporary directories, without what lies in them and is not this application's."""
        for path in walls.SHARED:
            yield from self.neighbours.cover(path)

    def areas(self) -> Areas:
        """Return the directories that hosted code may write."""
        specs = list(self.others())
        self.neighbours = self.neighbours.now(specs)
        return self.grants.areas(specs)

    def _is_its_own(self, spec: AppSpec, parent: str, directory: str) -> bool:
        """Say whether the parent, which is the last on sys.path, holds nothing but this application.

        That is so for a project with its settings in a directory of their own, not for a directory of applications.
        """
        if len(Path(parent).parts) < 3 or parent in ("/var/tmp", *self._homes(spec)):  # noqa: S108
            return False
        csp = str(self.home / "csp")
        if within(str(self.home), parent) or (within(parent, str(self.home)) and not within(parent, csp)):
            return False
        return parent != csp and self.neighbours.none_below(parent, directory, spec.id)

    def _homes(self, spec: AppSpec) -> tuple[str, ...]:
        """Name the directories in which people keep all sorts of things."""
        account = None
        with suppress(OSError):
            account = self._account(spec)
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
        self.by_id = {app_id: os.path.realpath(directory) for app_id, directory in key}
        self.directories = set(self.by_id.values())
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
            holes, real = self.directories | {str(self.home)}, os.path.realpath(path)
            # Landlock knows what lies behind a link on the way by its real path only.
            behind = [] if os.path.islink(path) or real == path else cover(real, holes)
            self.covers[path] = cover(path, holes) + behind
        return self.covers[path]

    def none_below(self, outer: str, spared: str, own: int) -> bool:
        """Say whether no application lies below a directory, those apart that lie below the spared one.

        Its ``own`` does not count: a moment ago, it may have been where a link of its deployment led then.
        """
        others = (path for app_id, path in self.by_id.items() if app_id != own)
        return not any(within(path, outer) and not within(path, spared) for path in others)


def cover(path: str, holes: set[str]) -> list[str]:
    """Return paths that together are ``path`` without the holes; links stay links."""
    if os.path.islink(path):
        return [path]
    below = {hole for hole in holes if within(hole, path)}
    if not below:
        return [path] if os.path.exists(path) else []
    if path in below:
        return []
    return [part for name in sorted(os.listdir(path)) for part in cover(os.path.join(path, name), below)]


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
