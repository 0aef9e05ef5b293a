"""The walls around one worker: what it can reach, and how much it may take.

``Confinement`` says what is wished, ``raise_walls`` puts it up in the worker, before anything of the application is
imported. ``python -m webapps.runtime.walls`` tries it and prints what this machine permits; ``wallreport`` says that in
words. Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import resource
import select
import selectors
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from . import momentary, priority

kernel: Any = None
ownpids: Any = None
ownroot: Any = None
owntree: Any = None
seccomp: Any = None
seccomp_agent: Any = None
try:
    from . import ownpids, ownroot, owntree, seccomp, seccomp_agent, syscalls

    kernel = syscalls
except ImportError:
    pass  # An interpreter may have been built without ctypes: then there are limits only.

# The fork request carries the confinement in this variable; the application never sees it.
KEY = "STOA_CONFINEMENT"
# Everybody's, where there is no root of its own.
SHARED = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108
# What root keeps: files of several owners, other accounts, low ports, signals. Not: mounts, devices, the kernel,
# other processes' memory, chroot (capabilities(7)).
ROOT_KEEPS = (0, 1, 3, 4, 5, 6, 7, 10)
# The kernel's settings, which root may write without any capability.
SETTINGS = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi")
# How a try ends, and what the kernel answers for now only: it is busy, and has refused nothing.
HOLDS, REFUSED, LATER = b"+", b"-", b"?"
# Since Linux 5.14 RLIMIT_NPROC counts within a user namespace.
COUNTS_PROCESSES = (5, 14)


class WallsFailed(Exception):
    """A wall that this machine holds could not be put up for this worker."""


class NoAnswer(Exception):
    """Whether the machine permits a wall could not be tried."""


@dataclass(frozen=True)
class Means:
    """What this machine permits. ``why_no_…`` is what it answered; ``uid`` is who asked.

    ``listens`` is whether listen(2) can be decided outside of a worker (``seccomp_agent``), ``nests`` whether a zygote
    can have walls that its workers have theirs within (``nest``).
    """

    mounts: bool = False
    why_no_mounts: str = ""
    landlock: int = 0
    why_no_landlock: str = ""
    kernel: tuple[int, int] = (0, 0)
    uid: int = 0
    peers: bool = True
    rights: bool = True
    pids: bool = False
    why_no_pids: str = ""
    listens: bool = False
    why_no_listens: str = ""
    nests: bool = False
    why_no_nests: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Means:
        """Build the means that ``dataclasses.asdict`` took apart."""
        return cls(**{**values, "kernel": tuple(values["kernel"])})

    @property
    def files(self) -> bool:
        """Whether anything keeps an application from other files (an older Landlock could not even rename)."""
        return self.mounts or self.landlock >= 2

    @property
    def binds(self) -> bool:
        """Whether the kernel keeps TCP sockets from ports."""
        return bool(kernel) and self.landlock >= kernel.BINDS

    @property
    def counts(self) -> bool:
        """Whether the kernel counts an application's processes (it never does for root)."""
        return self.mounts and self.uid != 0 and self.kernel >= COUNTS_PROCESSES


@dataclass(frozen=True)
class Confinement:
    """What one worker may reach and take; sizes are bytes, 0 is no limit.

    Paths are absolute and without links on their way; one that is a link itself stands for the link alone. ``hide`` is
    left out of what is reached. ``shared`` are the temporary directories: everybody's where it has no root of its own;
    ``private`` is where its own lie, "" for a file system in memory of the size ``temporary``. ``ports`` are those at
    which it may listen, each pair with all between, 0 for those that the kernel picks.
    """

    means: Means = Means()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    shared: tuple[str, ...] = SHARED
    private: str = ""
    home: str = ""
    memory: int = 0
    open_files: int = 0
    processes: int = 0
    temporary: int = 0
    nice: int = 0
    ports: tuple[tuple[int, int], ...] = ()

    def to_json(self) -> str:
        """Return it as text for the fork request."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Confinement:
        """Read what ``to_json`` wrote."""
        values = json.loads(text)
        means = Means.from_dict(values.pop("means"))
        paths = {name: tuple(values[name]) for name in ("read", "write", "hide", "shared")}
        ports = tuple((int(first), int(last)) for first, last in values.get("ports", ()))
        return cls(**{**values, "means": means, "ports": ports, **paths})


Reached = list[tuple[str, bool]]
_of_python: tuple[str, ...] = ()


def prepare() -> None:
    """Note, once for all workers that are forked from here, what this interpreter and its packages live in."""
    global _of_python
    if ownroot is not None:
        _of_python = tuple(path for path, _writable in ownroot.in_order(ownroot.of_python(), ()))


def has_pids(environment: Mapping[str, str]) -> bool:
    """Say whether a worker that is forked with this first environment puts itself into a PID namespace."""
    wished = environment.get(KEY, "")
    return ownpids is not None and bool(wished) and bool(json.loads(wished)["means"].get("pids"))


def listens_at(environment: Mapping[str, str]) -> list[tuple[int, int]] | None:
    """Return the ports at which a worker with this first environment may listen, None where nobody is asked."""
    wished = json.loads(environment.get(KEY) or "null")
    if seccomp_agent is None or not wished or not wished["means"].get("listens"):
        return None
    return [(int(first), int(last)) for first, last in wished["ports"]]


def enter_pids(told: int) -> None:
    """Go on as another process in a PID namespace; its id is written to ``told`` (``ownpids``). Raises WallsFailed."""
    try:
        ownpids.enter(told)
    except OSError as error:
        raise _failed(error) from error


def raise_walls(wished: Confinement, agent: int = -1, root: int = -1) -> None:
    """Put up what the means permit.

    1. A priority, and a home where it may write. 2. A root of its own, where the machine permits. 3. Capabilities and
    ``no_new_privs``. 4. Landlock. 5. A filter, whose listener ``agent`` is sent: who holds its other end decides what
    may listen. 6. Limits. Raises WallsFailed: a wall that is said to hold holds, or nothing runs.
    """
    if kernel is None and wished.means.files:
        raise WallsFailed("its interpreter has no ctypes, which walls need; STOA_WALLS=0 starts Stoa without them")
    try:
        if wished.means.pids and not ownpids.entered:
            ownpids.enter()
        if wished.nice:
            priority.lower(wished.nice)
        os.environ["HOME"] = wished.home or os.environ.get("HOME", "/")
        reached = _reached(wished) if wished.means.files else []
        if wished.means.mounts:
            _own_root(wished, reached, root)
        if kernel is not None:
            _give_up_rights()
        if wished.means.landlock:
            _landlock(wished, reached)
        if wished.means.listens and root < 0:
            seccomp_agent.hand_over(agent, seccomp.install())
        elif agent >= 0:
            seccomp_agent.announce(agent)
    except OSError as error:
        raise _failed(error) from error
    _limit(wished)


def _failed(error: OSError) -> WallsFailed:
    words = f"the walls around it could not be put up ({momentary.in_words(error)})"
    return WallsFailed(words if momentary.is_momentary(error) else f"{words}; STOA_WALLS=0 starts Stoa without them")


def _reached(wished: Confinement) -> Reached:
    """Return all that it may reach, its interpreter included, and whether it may write there."""
    if not _of_python:
        prepare()
    os.environ.pop("TMPDIR", None)  # That is Stoa's.
    return ownroot.in_order((*wished.read, *_of_python), wished.write)  # type: ignore[no-any-return]


def _own_root(wished: Confinement, reached: Reached, root: int) -> None:
    means = wished.means
    if not means.pids:
        ownroot.leave_the_machines()
    if means.counts and wished.processes:
        _lower(resource.RLIMIT_NPROC, wished.processes + means.pids)  # The first of a PID namespace is Stoa's.
    settings = () if means.uid else SETTINGS
    if root >= 0:
        owntree.move_into(root, settings)
        return
    reached = [*reached, *([] if means.pids else [("/proc", True)]), *((path, False) for path in settings)]
    ownroot.enter(reached, hide=wished.hide, temporary=wished.private, size=wished.temporary, pids=means.pids)


# Limits


def _limit(wished: Confinement) -> None:
    """Lower the limits, after all that is sent: that counts all descriptors under way of our account (unix(7))."""
    try:
        for kind, most in ((resource.RLIMIT_NOFILE, wished.open_files), (resource.RLIMIT_DATA, wished.memory)):
            _lower(kind, most)
    except OSError as error:
        raise _failed(error) from error


def _lower(kind: int, most: int) -> None:
    _soft, hard = resource.getrlimit(kind)
    if most and (hard == resource.RLIM_INFINITY or most < hard):
        resource.setrlimit(kind, (most, most))


# Rights


def _give_up_rights() -> None:
    """Keep what root needs as an owner of files, nothing else; nobody else has any in a namespace of his own."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if os.geteuid() == 0:
        kernel.keep_capabilities(ROOT_KEEPS)
    elif kernel.permitted():
        kernel.set_capabilities(0)  # It has them in its own namespace, where nobody can be root.


def _landlock(wished: Confinement, reached: Reached) -> None:
    """Say the same to Landlock; where there is no root of its own, the temporary directories stay shared."""
    rules = kernel.Landlock(wished.means.landlock)
    for path, writable in reached:
        rules.allow_held(path, kernel.WRITING if writable else kernel.READING)
    for path in wished.shared:
        rules.allow(path, kernel.WRITING)
    for first, last in wished.ports:
        for port in range(first, last + 1):
            rules.allow_port(port)
    if wished.means.uid:
        for path in ("/proc", "/dev"):
            rules.allow(path, kernel.READING | kernel.WRITE_FILE | kernel.TRUNCATE)
    else:
        _landlock_of_root(rules)
    rules.restrict()


def _landlock_of_root(rules: Any) -> None:
    """Keep root from disks and from the kernel's settings, which its own rights would let it write."""
    for path in ("/proc", "/dev"):
        rules.allow(path, kernel.READ_DIR)
    rules.allow("/proc", kernel.READING)
    rules.allow(f"/proc/{os.getpid()}", kernel.READING | kernel.WRITE_FILE)
    for path in ("/dev/pts", "/dev/ptmx", *ownroot.devices("/dev")):
        rules.allow(path, kernel.READING | kernel.WRITE_FILE | kernel.TRUNCATE)


# What this machine permits


def probe(wished: Confinement) -> Means:
    """Try in processes of our own which walls around this the machine permits."""
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    means = Means(
        kernel=(int(version[1]), int(version[2])) if version else (0, 0),
        uid=os.geteuid(),
        why_no_mounts="Python without ctypes",
        why_no_landlock="Python without ctypes",
        why_no_pids="Python without ctypes",
        why_no_listens="Python without ctypes",
        peers=not _has_no_new_privs(),
        rights=kernel is not None,
    )
    if kernel is None:
        return means
    why_no_mounts = _tried(wished, dataclasses.replace(means, mounts=True))
    abi, why_no_landlock = kernel.landlock_abi()
    why_no_landlock = why_no_landlock or _tried(wished, dataclasses.replace(means, landlock=abi))
    why_no_pids = why_no_mounts or _tried(wished, dataclasses.replace(means, mounts=True, pids=True))
    around = dataclasses.replace(
        means,
        mounts=not why_no_mounts,
        why_no_mounts=why_no_mounts,
        landlock=0 if why_no_landlock else abi,
        why_no_landlock=why_no_landlock,
        pids=not why_no_pids,
        why_no_pids=why_no_pids,
    )
    # Behind all that is around a worker as well: who decides has to reach it there.
    why_no_listens = _tried(wished, dataclasses.replace(around, listens=True))
    around = dataclasses.replace(around, listens=not why_no_listens, why_no_listens=why_no_listens)
    why_no_nests = why_no_pids or _tried(wished, dataclasses.replace(around, nests=True))
    return dataclasses.replace(around, nests=not why_no_nests, why_no_nests=why_no_nests)


def _tried(wished: Confinement, means: Means) -> str:
    """Return why a process cannot have these walls, "" where it can. Raises NoAnswer."""
    reading, writing = os.pipe()
    agent = seccomp_agent.Agent(selectors.DefaultSelector())
    link = agent.expect(())
    pid = os.fork()
    if pid == 0:
        agent.close()
        say_how(writing, lambda: _try(dataclasses.replace(wished, means=means), link, writing))
    os.close(writing)
    os.close(link)
    agent.serve_until({reading: select.POLLIN})
    _pid, status = os.waitpid(pid, 0)
    agent.close()
    with open(reading, "rb") as answer:
        return _answer_in_words(answer.read(), status)


def _try(wished: Confinement, link: int, writing: int) -> None:
    """Raise the walls, in a nest if it is about that."""
    if wished.means.nests:
        importlib.import_module(f"{__package__}.nesttrial").begin(wished, link, writing)
        return
    raise_walls(wished, link)
    if wished.means.listens:
        seccomp_agent.try_out()
    os.write(writing, HOLDS)


def say_how(writing: int, do: Callable[[], None]) -> NoReturn:
    """Do, and say why that did not go well, if it did not; the process ends."""
    try:
        do()
    except BaseException as error:
        cause = error.__cause__ or error
        os.write(writing, (LATER if momentary.is_momentary(cause) else REFUSED) + momentary.in_words(cause).encode())
    finally:
        os._exit(0)


def _answer_in_words(said: bytes, status: int) -> str:
    if said[:1] in (HOLDS, REFUSED):
        return said[1:].decode()
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS:
        return "a filter of system calls kills who asks"
    raise NoAnswer(said[1:].decode() or f"the process that tried a wall ended with status {status}")


def _has_no_new_privs() -> bool:
    with open("/proc/self/status") as status:
        return "NoNewPrivs:\t1\n" in status


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(probe(Confinement.from_json(os.environ[KEY])))))
