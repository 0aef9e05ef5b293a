"""The control group of Stoa's own (cgroups(7), version 2), where the machine's service manager has delegated one to it.

1. ``find`` says which it is, or in words why there is none. Nothing that is not delegated is ever written to.
2. ``settle``, by the keeper before it has children: a group with groups below it may have no processes of its own, so
   Stoa moves into the leaf ``stoa``; then the group's controllers are handed down.
3. The supervisor makes a group beside that leaf for each namespace (``nsgroups``).
4. ``loosen``, by the supervisor when the keeper has been killed: the group may have processes of its own again, or the
   service manager could not start the next keeper in it. ``undo``, by the keeper at the end: what was made is removed.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import processes

LEAF = "stoa"
OF_NAMESPACE = "ns-"
CONTROLLERS = ("pids", "cpu", "memory")
# What systemd marks a delegated group with (https://systemd.io/CGROUP_DELEGATION/): root's, and everybody's.
MARKS = ("trusted.delegate", "user.delegate")
# Processes that have ended leave their group a moment later.
EMPTIES = 2.0


@dataclass(frozen=True)
class Delegated:
    """A group that is Stoa's to divide: its directory, and which controllers act in it; or why there is none.

    ``inside`` is whether this process is in the leaf already.
    """

    root: Path | None = None
    inside: bool = False
    controllers: tuple[str, ...] = ()
    why_not: str = ""


def find(proc: Path = Path("/proc/self")) -> Delegated:
    """Find the delegated group that this process is in, or whose leaf it is in."""
    if os.environ.get("STOA_WALLS", "1") == "0":
        return Delegated(why_not="STOA_WALLS=0")
    try:
        group = _own_group(proc)
    except OSError as error:
        return Delegated(why_not=str(error))
    if group is None:
        return Delegated(why_not="this machine has no control groups of version 2 here")
    if group.name == LEAF and not _why_not(group.parent):
        return Delegated(group.parent, inside=True)
    why_not = _why_not(group)
    return Delegated(why_not=why_not) if why_not else Delegated(group)


def _own_group(proc: Path) -> Path | None:
    """Return the directory of the group that a process is in."""
    lines = (proc / "cgroup").read_text().splitlines()
    path = next((line[3:] for line in lines if line.startswith("0::/")), "")
    for root, mounted in _mounts((proc / "mountinfo").read_text()):
        if path and ".." not in path and (path + "/").startswith(root.rstrip("/") + "/"):
            return Path(mounted + "/" + path[len(root.rstrip("/")) :].lstrip("/"))
    return None


def _mounts(mountinfo: str) -> Iterator[tuple[str, str]]:
    """Yield which part of the tree is mounted where (proc(5))."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            root, mounted = before.split()[3:5]
            yield _plain(root), _plain(mounted)


def _plain(path: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def _why_not(group: Path) -> str:
    """Say why a group is not Stoa's to divide, "" where it is."""
    try:
        if not (group / "cgroup.type").exists():
            return "it runs in the machine’s root group"
        if (group / "cgroup.type").read_text().strip() != "domain":
            return "its group is threaded"
        if not all(_writable(group / name) for name in (".", "cgroup.procs", "cgroup.subtree_control")):
            return "its group belongs to somebody else"
        return "" if is_marked(group) or _is_ours(group) else "its group is not delegated"
    except OSError as error:
        return str(error)


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=True)


def _is_ours(group: Path) -> bool:
    """Say whether it was given to this account, whose own service manager may be too old for marks."""
    return os.geteuid() != 0 and group.stat().st_uid == os.geteuid()


def is_marked(group: Path) -> bool:
    """Say whether the service manager has marked a group as delegated."""
    return any(_mark(group, name) == b"1" for name in MARKS)


def _mark(group: Path, name: str) -> bytes:
    try:
        return os.getxattr(group, name)
    except OSError:
        return b""


def settle(found: Delegated, pid: int) -> Delegated:
    """Move a process (the keeper) into the leaf, and hand the controllers down; where that fails, move it back."""
    if found.root is None:
        return found
    try:
        if not found.inside:
            (found.root / LEAF).mkdir(exist_ok=True)
            write(found.root / LEAF / "cgroup.procs", pid)
        controllers = hand_down(found.root)
    except OSError as error:
        if not found.inside:
            _move_back(found.root, pid)
        return Delegated(why_not=_in_words(error))
    return dataclasses.replace(found, controllers=controllers)


def standing(proc: Path = Path("/proc/self")) -> Delegated:
    """Return what holds for a child of the keeper's; an earlier supervisor may have loosened it."""
    return settle(dataclasses.replace(find(proc), inside=True), 0)


def _in_words(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "its group has processes that are not Stoa’s"
    return str(error)


def _move_back(root: Path, pid: int) -> None:
    try:
        write(root / "cgroup.procs", pid)
        (root / LEAF).rmdir()
    except OSError:
        pass  # It stays in a group of its own, which limits nothing.


def hand_down(root: Path) -> tuple[str, ...]:
    """Have the controllers that Stoa uses act below a group; return which do. Raises OSError where none can.

    The kernel would allow pids and cpu beside processes of others, but then no process in a group below.
    """
    if (root / "cgroup.procs").read_text().strip():
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
    offered = (root / "cgroup.controllers").read_text().split()
    acting, refused = list[str](), OSError("no controller is delegated: pids, cpu or memory")
    for name in (name for name in CONTROLLERS if name in offered):
        try:
            write(root / "cgroup.subtree_control", f"+{name}")
            acting.append(name)
        except OSError as error:
            refused = error
    if not acting:
        raise refused
    return tuple(acting)


def loosen(root: Path) -> None:
    """Let a group have processes of its own again: no limit acts below it from now on."""
    for name in CONTROLLERS:
        try:
            write(root / "cgroup.subtree_control", f"-{name}")
        except OSError:
            continue  # It did not act.


def undo(found: Delegated, pid: int, wait_until: Callable[..., bool] = processes.wait_until) -> None:
    """Remove the groups that were made, once they are empty, and move back."""
    if found.root is None:
        return
    wait_until(lambda: not [group for group in of_namespaces(found.root) if not removed(group)], EMPTIES)
    loosen(found.root)
    if not found.inside:
        _move_back(found.root, pid)


def of_namespaces(root: Path | None) -> list[Path]:
    """Return the groups of namespaces that there are."""
    return sorted(root.glob(f"{OF_NAMESPACE}*/")) if root else []


def removed(group: Path) -> bool:
    """Remove a group, unless it has processes; say whether it has gone."""
    try:
        group.rmdir()
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def write(path: Path, value: object) -> None:
    """Write one value into a file of a group. Raises OSError: the kernel's answer."""
    with open(path, "w") as file:
        file.write(str(value))
