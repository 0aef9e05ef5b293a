"""A file system for one worker, with nothing in it but what it may reach.

Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator

from . import syscalls as kernel

TMP, SHM = "/tmp", "/dev/shm"  # noqa: S108
TEMPORARY = {TMP: "tmp", "/var/tmp": "vartmp"}  # noqa: S108
OLD = "/.old"
EMPTY = "/.empty"
# Root may read disks and others' terminals; what else there is, the account's own rights keep apart.
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "log", "kfd", "dri")
LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}


def leave_the_machines(*, pids: bool = False) -> None:
    """Have a mount namespace, and with ``pids`` our children a PID namespace; who is not root has a user namespace too.

    In that we are who we were. Memory, queues and semaphores of System V are no files: they have a namespace as well,
    where the kernel has that. Raises OSError.
    """
    own = kernel.CLONE_NEWIPC if os.path.exists("/proc/self/ns/ipc") else 0
    namespaces = kernel.CLONE_NEWNS | own | (kernel.CLONE_NEWPID if pids else 0)
    if os.geteuid():
        _enter_user_namespace(namespaces)
    else:
        kernel.unshare(namespaces)


def _enter_user_namespace(namespaces: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # Else /proc/self/uid_map would be root's.
    kernel.unshare(kernel.CLONE_NEWUSER | namespaces)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def enter(
    reached: Iterable[tuple[str, bool]],
    *,
    hide: Iterable[str] = (),
    temporary: str = "",
    size: int = 0,
    pids: bool = False,
) -> None:
    """Move into a root that has only these paths, writable or not; needs a mount namespace of our own. Raises OSError.

    1. A file system in memory becomes the root, the old one stays at ``OLD`` for a while. 2. Temporary directories come
    first: what is reached may lie below them. 3. What is reached, and with ``pids`` our PID namespace's own ``/proc``.
    4. The old root goes, the new one becomes read-only.
    """
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    private = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("stoa", TMP, "tmpfs", private, f"mode=755,size={size or '25%'}")
    os.chdir(TMP)
    umask = os.umask(0o022)
    os.mkdir(f"{TMP}{OLD}")
    kernel.pivot_root(TMP, f"{TMP}{OLD}")
    os.chdir("/")
    _devices()
    _temporary(temporary)
    if os.path.isdir(SHM):
        kernel.mount("stoa-shm", SHM, "tmpfs", private, f"mode=1777,size={size or '25%'}")
    if pids:
        os.mkdir("/proc")
        show_processes("/proc")
    for path, writable in reached:
        _bind(path, writable)
    _hide(hide)
    kernel.unmount(OLD)
    os.rmdir(OLD)
    kernel.read_only("/", below=False)
    os.umask(umask)


def in_order(read: Iterable[str], write: Iterable[str]) -> list[tuple[str, bool]]:
    """Return the paths, outer ones first, without those that lie in an outer one of the same kind."""
    wishes = dict.fromkeys(read, False) | dict.fromkeys(write, True)
    kept: dict[str, bool] = {}
    for path in sorted(wishes):
        outer = next((known for known in _outer(path) if known in kept), None)
        if outer is None or kept[outer] != wishes[path]:
            kept[path] = wishes[path]
    return list(kept.items())


def _outer(path: str) -> Iterator[str]:
    while len(path) > 1:
        path = os.path.dirname(path)
        yield path


def way(path: str) -> Iterator[str]:
    """Name the links that are met on the way to a path, and what it means in the end."""
    done, rest = "", path.split("/")
    for _step in range(400):
        if not rest:
            break
        part = rest.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            done = os.path.dirname(done).rstrip("/")
            continue
        here = f"{done}/{part}"
        target = _link(here)
        if target:
            yield here
            rest = target.split("/") + rest
            done = "" if target.startswith("/") else done
        else:
            done = here
    yield done or "/"


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def of_python() -> Iterator[str]:
    """Name what this interpreter and what it has imported live in, the links on the way included."""
    own = os.path.dirname(os.path.abspath(__file__))
    executable = os.path.dirname(sys.executable)
    for path in dict.fromkeys((sys.prefix, sys.base_prefix, sys.exec_prefix, executable, *sys.path, *_packages())):
        if path and path not in ("/", own):
            yield from way(path)
    *links, real = way(sys.executable)
    yield from (*links, *map(os.path.dirname, links), os.path.dirname(real))


def _packages() -> Iterator[str]:
    """Name the packages that lie elsewhere than on the path: ours, and what is installed as editable (setuptools)."""
    for name, module in list(sys.modules.items()):
        if name.startswith("__editable__"):
            yield from getattr(module, "MAPPING", {}).values()
        elif "." not in name and isinstance(paths := getattr(module, "__path__", None), list):
            yield from paths


def _bind(path: str, writable: bool) -> None:
    """Mount what lies at a path, which has no link on its way; one that is a link itself becomes a link."""
    if target := _link(OLD + path):
        _link_to(path, target)
        return
    fd = kernel.held(path, OLD)
    if fd < 0:
        return
    try:
        if not os.path.exists(path):
            _place(path, stat.S_ISDIR(os.fstat(fd).st_mode))
        kernel.mount(f"{OLD}/proc/self/fd/{fd}", path, flags=kernel.MS_BIND | kernel.MS_REC)
    finally:
        os.close(fd)
    if not writable:
        kernel.read_only(path)


def _link_to(path: str, target: str) -> None:
    if not os.path.lexists(path):
        _place(os.path.dirname(path), directory=True)
        os.symlink(target, path)


def _place(path: str, directory: bool) -> None:
    """Make what something is mounted on; the directories on the way there can be passed, not listed."""
    umask = os.umask(0o666)
    os.makedirs(path if directory else os.path.dirname(path), exist_ok=True)
    if not directory:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    os.umask(umask)


def devices(directory: str) -> list[str]:
    """Return the devices that are there and that root may leave to an application."""
    return [f"{directory}/{name}" for name in os.listdir(directory) if name in DEVICES or name.startswith("nvidia")]


def _devices() -> None:
    """Give it the devices that its account may use, and terminals of its own."""
    if os.geteuid():
        _bind("/dev", writable=True)
    else:
        for path in devices(f"{OLD}/dev"):
            _bind(path[len(OLD) :], writable=True)
        for name, target in LINKS.items():
            os.symlink(target, f"/dev/{name}")
        os.mkdir("/dev/pts")
        os.mkdir(SHM)
        os.symlink("pts/ptmx", "/dev/ptmx")
    if os.path.isdir("/dev/pts"):
        private = kernel.MS_NOSUID | kernel.MS_NOEXEC
        kernel.mount("devpts", "/dev/pts", "devpts", private, "newinstance,ptmxmode=0666,mode=620")


def _temporary(directory: str) -> None:
    """Give it temporary directories of its own: from a directory's ``tmp`` and ``vartmp``, else in the new root."""
    for target, name in TEMPORARY.items():
        os.makedirs(target, exist_ok=True)
        os.chmod(target, 0o1777)
        # Mounted on itself it stays writable when the root is not.
        kernel.mount(f"{OLD}{directory}/{name}" if directory else target, target, flags=kernel.MS_BIND)


def show_processes(directory: str) -> None:
    """Show the processes of our PID namespace; refused where something hides a part of the /proc that is there."""
    kernel.mount("proc", directory, "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)


def _hide(paths: Iterable[str]) -> None:
    """Put nothing in the place of paths: the sockets there would do for a caller what the caller may not."""
    os.mkdir(EMPTY)
    for path in paths:
        if os.path.isdir(path):
            kernel.mount(EMPTY, path, flags=kernel.MS_BIND)
        elif os.path.exists(path):
            kernel.mount("/dev/null", path, flags=kernel.MS_BIND)
    os.rmdir(EMPTY)
