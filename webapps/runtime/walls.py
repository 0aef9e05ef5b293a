"""The walls around one worker: what it can reach, and how much it may take.

``Confinement`` says what is wished, ``raise_walls`` puts it up in the worker, before anything of the application is
imported. ``python -m webapps.runtime.walls`` tries it and prints what this machine permits; ``report`` says that in
words. Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

kernel: Any = None
try:
    from . import syscalls

    kernel = syscalls
except ImportError:
    pass  # An interpreter may have been built without ctypes: then there are limits only.

# The fork request carries the confinement in this variable; the application never sees it.
KEY = "STOA_CONFINEMENT"
TMP = "/tmp"  # noqa: S108
SHM = "/dev/shm"  # noqa: S108
VARTMP = "/var/tmp"  # noqa: S108
OLD = "/.old"
OWN = "/.own"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
# What root keeps: files of several owners, other accounts, low ports, signals. Not: mounts, devices, the kernel,
# other processes' memory, chroot (capabilities(7)).
ROOT_KEEPS = (0, 1, 3, 4, 5, 6, 7, 10)
# Since Linux 5.14 RLIMIT_NPROC counts within a user namespace.
COUNTS_PROCESSES = (5, 14)


class WallsFailed(Exception):
    """A wall that this machine holds could not be put up for this worker."""


@dataclass(frozen=True)
class Means:
    """What this machine permits. ``why_no_mounts`` says what it answered; ``uid`` is who asked."""

    mounts: bool = False
    why_no_mounts: str = ""
    landlock: int = 0
    kernel: tuple[int, int] = (0, 0)
    uid: int = 0
    peers: bool = True

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Means:
        """Build the means that ``dataclasses.asdict`` took apart."""
        return cls(**{**values, "kernel": tuple(values["kernel"])})

    @property
    def files(self) -> bool:
        """Whether anything keeps an application from other files (an older Landlock could not even rename)."""
        return self.mounts or self.landlock >= 2

    @property
    def counts(self) -> bool:
        """Whether the kernel counts an application's processes (it never does for root)."""
        return self.mounts and self.uid != 0 and self.kernel >= COUNTS_PROCESSES


@dataclass(frozen=True)
class Confinement:
    """What one worker may reach and take; paths are absolute and without links, sizes bytes, 0 is no limit.

    ``shared`` are the temporary directories: its own in a root of its own, everybody's where there is none.
    """

    means: Means = Means()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    shared: tuple[str, ...] = (TMP, VARTMP, SHM)
    home: str = ""
    memory: int = 0
    open_files: int = 0
    processes: int = 0
    temporary: int = 0
    nice: int = 0

    def to_json(self) -> str:
        """Return it as text for the fork request."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Confinement:
        """Read what ``to_json`` wrote."""
        values = json.loads(text)
        means = Means.from_dict(values.pop("means"))
        return cls(**{**values, "means": means, **{name: tuple(values[name]) for name in ("read", "write", "shared")}})


def raise_walls(wished: Confinement) -> None:
    """Put up what the means permit.

    1. Limits. 2. A root of its own, where the machine permits. 3. Capabilities and ``no_new_privs``. 4. Landlock.
    Raises WallsFailed: a wall that is said to hold holds, or nothing runs.
    """
    try:
        _limit(wished)
        if wished.means.files:
            read = tuple(dict.fromkeys([*wished.read, *own_python()]))
            wished = dataclasses.replace(wished, read=read)
            os.environ["HOME"] = wished.home or os.environ.get("HOME", "/")
        if wished.means.mounts:
            _own_root(wished)
        if kernel is not None:
            _give_up_rights()
        if wished.means.landlock >= 2:
            _landlock(wished)
    except OSError as error:
        raise WallsFailed(
            f"the walls around it could not be put up ({error}); STOA_WALLS=0 starts Stoa without them"
        ) from error


def own_python() -> Iterator[str]:
    """Name the directories that this interpreter and what it has imported live in."""
    modules = [getattr(module, "__path__", None) for name, module in list(sys.modules.items()) if "." not in name]
    packages = [path for paths in modules if isinstance(paths, list) for path in paths]
    own = os.path.dirname(os.path.abspath(__file__))
    for path in (sys.prefix, sys.base_prefix, sys.exec_prefix, *_links(sys.executable), *sys.path, *packages):
        if path and path not in ("/", own) and os.path.exists(path):
            yield os.path.realpath(path)


def _links(path: str) -> Iterator[str]:
    """Name the directories on the way from a link to what it means."""
    for _step in range(10):
        yield os.path.dirname(path)
        if not os.path.islink(path):
            return
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))


# Limits


def _limit(wished: Confinement) -> None:
    for kind, most in ((resource.RLIMIT_NOFILE, wished.open_files), (resource.RLIMIT_DATA, wished.memory)):
        _lower(kind, most)
    if wished.nice:
        os.nice(wished.nice)


def _lower(kind: int, most: int) -> None:
    _soft, hard = resource.getrlimit(kind)
    if most and (hard == resource.RLIM_INFINITY or most < hard):
        resource.setrlimit(kind, (most, most))


# A root of its own


def _own_root(wished: Confinement) -> None:
    """Move into a file system that has only what may be reached."""
    if wished.means.uid:
        _become_own_user()
    else:
        kernel.unshare(kernel.CLONE_NEWNS)
    if wished.means.counts:
        _lower(resource.RLIMIT_NPROC, wished.processes)
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    private = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("stoa", TMP, "tmpfs", private, "mode=755,size=1m")
    os.chdir(TMP)
    umask = os.umask(0o022)
    os.mkdir(f"{TMP}{OLD}")
    kernel.pivot_root(TMP, f"{TMP}{OLD}")
    os.chdir("/")
    _private(wished.temporary)  # First: what is reached may lie below a temporary directory.
    for path, writable in _in_order(wished):
        _bind(path, writable)
    _devices()
    kernel.unmount(OLD)
    os.rmdir(OLD)
    kernel.read_only("/", below=False)
    os.umask(umask)


def _become_own_user() -> None:
    """Enter a user namespace in which we are who we were."""
    uid, gid = os.geteuid(), os.getegid()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # Else /proc/self/uid_map would be root's.
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _in_order(wished: Confinement) -> list[tuple[str, bool]]:
    """Return the paths, outer ones first, without those that lie in an outer one of the same kind."""
    wishes = dict.fromkeys(wished.read, False) | dict.fromkeys(wished.write, True)
    kept: dict[str, bool] = {}
    for path in sorted(wishes):
        outer = next((known for known in reversed(list(kept)) if path.startswith(known + "/")), None)
        if outer is None or kept[outer] != wishes[path]:
            kept[path] = wishes[path]
    return list(kept.items())


def _bind(path: str, writable: bool) -> None:
    source = OLD + path
    if os.path.islink(source):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.lexists(path):
            os.symlink(os.readlink(source), path)
        return
    if not os.path.exists(source):
        return
    if not os.path.exists(path):
        _place(path, os.path.isdir(source))
    kernel.mount(source, path, flags=kernel.MS_BIND | kernel.MS_REC)
    if not writable:
        kernel.read_only(path)


def _place(path: str, directory: bool) -> None:
    """Make what something is mounted on; the directories on the way there can be passed, not listed."""
    umask = os.umask(0o666)
    os.makedirs(path if directory else os.path.dirname(path), exist_ok=True)
    if not directory:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    os.umask(umask)


def _devices() -> None:
    for name in DEVICES:
        _bind(f"/dev/{name}", writable=True)
    for name, target in LINKS.items():
        os.symlink(target, f"/dev/{name}")


def _private(size: int) -> None:
    """Give it a temporary directory and shared memory of its own, in one file system of a limited size."""
    os.mkdir(OWN)
    kernel.mount("stoa-own", OWN, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, f"mode=755,size={size or '25%'}")
    for path, target in ((f"{OWN}/tmp", TMP), (f"{OWN}/shm", SHM), (f"{OWN}/vartmp", VARTMP)):
        os.mkdir(path)
        os.chmod(path, 0o1777)
        if not os.path.isdir(target):
            os.makedirs(target)
        kernel.mount(path, target, flags=kernel.MS_BIND)
    kernel.unmount(OWN)
    os.rmdir(OWN)


# Rights


def _give_up_rights() -> None:
    """Keep what root needs as an owner of files, nothing else; nobody else has any in a namespace of his own."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if os.geteuid() == 0:
        kernel.keep_capabilities(ROOT_KEEPS)
    elif kernel.permitted():
        kernel.keep_capabilities(())


def _landlock(wished: Confinement) -> None:
    """Say the same to Landlock; where there is no root of its own, the temporary directories stay shared."""
    rules = kernel.Landlock(wished.means.landlock)
    for path in wished.read:
        rules.allow(path, kernel.READING)
    devices = ("/dev/pts", *(f"/dev/{name}" for name in DEVICES))
    for path in (*wished.write, *wished.shared, *devices):
        rules.allow(path, kernel.WRITING)
    for path in ("/proc", "/dev"):
        rules.allow(path, kernel.READING | kernel.WRITE_FILE | kernel.TRUNCATE)
    rules.restrict()


# What holds


@dataclass(frozen=True)
class Wall:
    """One line of the report."""

    name: str
    holds: bool
    words: str


def report(means: Means, *, on: bool = True) -> list[Wall]:
    """Say which walls hold on this machine, and by what."""
    if not on:
        return [Wall("Walls", False, "STOA_WALLS=0 switches them off")]
    root = " for root" if means.uid == 0 else ""
    by_mounts = "mount namespace" if means.uid == 0 else "user and mount namespace"
    by_landlock = f"Landlock {means.landlock}" if means.landlock else ""
    both = " and ".join(word for word in (by_mounts if means.mounts else "", by_landlock) if word)
    none = f"no namespaces ({means.why_no_mounts}) and no Landlock"
    return [
        Wall("Files", means.files, both if means.files else none),
        Wall(
            "Environment read-only",
            means.mounts,
            by_mounts if means.mounts else f"needs namespaces ({means.why_no_mounts})",
        ),
        Wall(
            "Sockets of other applications",
            means.mounts,
            by_mounts if means.mounts else f"needs namespaces ({means.why_no_mounts})",
        ),
        Wall("Stoa’s sockets", means.mounts or means.peers, _stoas_sockets(means, by_mounts)),
        Wall(
            "Memory and environment of other processes",
            means.mounts or means.landlock >= 1,
            both or none,
        ),
        Wall(
            "Signals to other processes",
            means.landlock >= 6,
            by_landlock if means.landlock >= 6 else "needs Landlock 6 (Linux 6.12)",
        ),
        Wall(
            "Temporary directory of its own",
            means.mounts,
            f"{by_mounts}, of a limited size" if means.mounts else f"needs namespaces ({means.why_no_mounts})",
        ),
        Wall(
            "Number of processes",
            means.counts,
            "RLIMIT_NPROC in the user namespace"
            if means.counts
            else f"the kernel does not count{root or ' here'}"
            + (": start Stoa without root or set STOA_USER" if root else f"; needs namespaces and Linux {_known()}"),
        ),
        Wall("Open files, memory of a process", True, "RLIMIT_NOFILE, RLIMIT_DATA"),
        Wall("CPU share", True, "nice value; shares of control groups are not used"),
        Wall("No new privileges", True, "no_new_privs; set-user-ID programs run without their rights"),
    ]


def _known() -> str:
    return ".".join(map(str, COUNTS_PROCESSES))


def _stoas_sockets(means: Means, by_mounts: str) -> str:
    ways = [by_mounts] if means.mounts else []
    ways += ["callers with no_new_privs are refused"] if means.peers else []
    return " and ".join(ways) or "Stoa itself was started with no_new_privs, so that it cannot tell who calls"


def probe() -> Means:
    """Try in this process, which is lost for anything else, what the machine permits."""
    release = os.uname().release.split(".")
    version = (int(release[0]), int(release[1].split("-")[0]))
    means = Means(
        kernel=version, uid=os.geteuid(), why_no_mounts="Python without ctypes", peers=not _has_no_new_privs()
    )
    if kernel is None:
        return means
    means = dataclasses.replace(means, landlock=kernel.landlock_abi())
    tried = dataclasses.replace(means, mounts=True, why_no_mounts="")
    wished = Confinement(tried, read=("/usr", "/proc"), processes=1000)
    try:
        raise_walls(wished)
    except WallsFailed as error:
        return dataclasses.replace(means, why_no_mounts=str(error.__cause__))
    return tried


def _has_no_new_privs() -> bool:
    with open("/proc/self/status") as status:
        return "NoNewPrivs:\t1\n" in status


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(probe())))
