"""Say in words which walls hold on this machine, and by what."""

from __future__ import annotations

from dataclasses import dataclass

from .cgroups import Delegated
from .syscalls import BINDS, SCOPES
from .walls import COUNTS_PROCESSES, Means

NOBODYS = Delegated(why_not="it was not asked")


@dataclass(frozen=True)
class Wall:
    """One line of the report."""

    name: str
    holds: bool
    words: str


def report(means: Means, delegated: Delegated = NOBODYS, *, on: bool = True, own: bool = False) -> list[Wall]:
    """Say which walls hold on this machine, and by what; ``own``: Stoa's own processes keep to themselves anyhow."""
    if not on:
        return [Wall("Walls", False, "STOA_WALLS=0 switches them off")]
    return [
        Wall("Files", means.files, _files(means)),
        _by_mounts("Environment read-only", means),
        Wall("Packages of an environment", means.nests, _packages(means)),
        _by_mounts("Sockets of other applications", means),
        Wall("Stoa’s sockets", means.mounts or (means.peers and means.rights), _stoas_sockets(means)),
        Wall("Memory and environment of other processes", _keeps_processes(means), _processes(means, own)),
        Wall("Signals to other processes", means.landlock >= SCOPES or means.pids, _signals(means)),
        Wall("Limits and priorities of other processes", means.pids, _limits(means)),
        Wall("TCP ports that the namespace does not name", means.listens, _ports(means)),
        _by_mounts("Temporary directory of its own", means),
        Wall("Number of processes", means.counts or "pids" in delegated.controllers, _count(means, delegated)),
        Wall("Open files, memory of a process", True, "RLIMIT_NOFILE, RLIMIT_DATA"),
        Wall("Memory of all of a namespace", "memory" in delegated.controllers, _by_group("memory", delegated)),
        Wall("CPU share", True, f"nice value; of a namespace: {_by_group('cpu', delegated)}"),
        Wall("No new privileges", means.rights, _rights(means)),
    ]


def _namespaces(means: Means) -> str:
    return "user and mount namespace" if means.uid else "mount namespace"


def _by_mounts(name: str, means: Means) -> Wall:
    return Wall(name, means.mounts, _namespaces(means) if means.mounts else _needs_namespaces(means))


def _packages(means: Means) -> str:
    """Say by what packages are kept that the zygote imports: it begins what an application is behind its own walls."""
    if not means.nests:
        return f"needs namespaces within namespaces, which this machine refuses ({means.why_no_nests})"
    ways = f"{_namespaces(means)} and PID namespace around the zygote"
    return ways if means.uid else f"{ways}; as root it keeps the right to mount, by which it can leave them"


def _needs_namespaces(means: Means) -> str:
    return f"needs namespaces, which this machine refuses ({means.why_no_mounts})"


def _needs_landlock(means: Means) -> str:
    return f"needs Landlock ({means.why_no_landlock or f'version {SCOPES}, Linux 6.12; this is {means.landlock}'})"


def _both(means: Means) -> str:
    landlock = f"Landlock {means.landlock}" if means.landlock else ""
    return " and ".join(filter(None, (_namespaces(means) if means.mounts else "", landlock)))


def _files(means: Means) -> str:
    if not means.files:
        return f"{_needs_namespaces(means)} or Landlock ({means.why_no_landlock})"
    return _both(means) + ("" if _keeps_processes(means) else "; not /proc, where root sees what others have open")


def _keeps_processes(means: Means) -> bool:
    """Say whether /proc and ptrace(2) end at the walls: one root has the rights of another."""
    return means.landlock > 0 or means.pids or (means.mounts and means.uid != 0)


def _processes(means: Means, own: bool) -> str:
    if _keeps_processes(means):
        return " and ".join(filter(None, (_both(means), "PID namespace" if means.pids else "")))
    needed = f"needs Landlock ({means.why_no_landlock}) or {_pids_refused(means)}"
    return f"Stoa’s own but nginx are kept (PR_SET_DUMPABLE); for the others it {needed}" if own else needed


def _signals(means: Means) -> str:
    ways = [f"Landlock {means.landlock}"] if means.landlock >= SCOPES else []
    ways += ["PID namespace"] if means.pids else []
    return " and ".join(ways) or f"{_needs_landlock(means)} or {_pids_refused(means)}"


def _limits(means: Means) -> str:
    """Say what keeps it from prlimit(2) and the like; no Landlock does."""
    return "PID namespace" if means.pids else f"needs {_pids_refused(means)}"


def _pids_refused(means: Means) -> str:
    return f"a PID namespace, which this machine refuses ({means.why_no_pids})"


def _ports(means: Means) -> str:
    """Say by what an application is kept from listening beside Stoa, where it would be sent Stoa's cookies."""
    landlock = f"Landlock {means.landlock}" if means.landlock >= BINDS else ""
    if means.listens:
        return " and ".join(filter(None, (landlock, "seccomp")))
    why = f"needs a seccomp filter with a listener, which this machine refuses ({means.why_no_listens})"
    return f"{landlock} keeps bind(2); listen(2) at a port that the kernel picks {why}" if landlock else why


def _by_group(controller: str, delegated: Delegated) -> str:
    """Say by what a limit of a namespace holds, or what it needs."""
    if controller in delegated.controllers:
        return "control group"
    why = delegated.why_not or f"the controller {controller} is not delegated"
    return f"needs a control group, Delegate=yes in the unit ({why})"


def _count(means: Means, delegated: Delegated) -> str:
    return f"{_count_of_each(means)}; of a namespace: {_by_group('pids', delegated)}"


def _count_of_each(means: Means) -> str:
    if means.counts:
        return "RLIMIT_NPROC in the user namespace"
    if means.uid == 0:
        return "the kernel does not count root; the supervisor ends crowds. Start Stoa without root or set STOA_USER"
    return _needs_namespaces(means) if not means.mounts else "needs Linux " + ".".join(map(str, COUNTS_PROCESSES))


def _stoas_sockets(means: Means) -> str:
    ways = [_namespaces(means)] if means.mounts else []
    ways += ["callers with no_new_privs are refused"] if means.peers and means.rights else []
    return " and ".join(ways) or "Stoa itself was started with no_new_privs, so that it cannot tell who calls"


def _rights(means: Means) -> str:
    if not means.rights:
        return "Python was built without ctypes"
    return "no_new_privs; set-user-ID programs run without their rights"
