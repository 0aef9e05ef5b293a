"""Say which walls the kernel has that do not hold, because something on the machine refuses them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import seccomp
from .walls import Means

# What the walls need of the kernel: mount_setattr(2), landlock(7), pidfd_getfd(2) for a filter's listener.
NAMESPACES, LANDLOCK, LISTENERS = (5, 12), (5, 13), (5, 6)
# The oldest on which walls within walls were tried: of an older one nobody has seen that it has them.
NESTED = (6, 18)
# The kernel's own words where Landlock was not compiled in, and where it was switched off at boot (landlock(7)).
NOT_BUILT, NOT_BOOTED = os.strerror(errno.ENOSYS), os.strerror(errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Kernel:
    """What this kernel has, whatever is permitted; ``filtered`` is whether a filter answers some system calls."""

    namespaces: bool
    filtered: bool

    @classmethod
    def running(cls, proc: Path = Path("/proc/self")) -> Kernel:
        """Look at the one that runs."""
        found = re.search(r"^Seccomp:\s*(\d)", (proc / "status").read_text(), re.MULTILINE)
        namespaces = all((proc / "ns" / name).exists() for name in ("user", "mnt"))
        return cls(namespaces=namespaces, filtered=bool(found and found[1] != "0"))


def shortfall(means: Means, kernel: Kernel) -> list[str]:
    """Say in words which walls the kernel has and the machine refuses; [] where all hold.

    An older kernel, or one that was built without, is no shortfall: that is as much as there is.
    """
    return list(_refused(means, kernel))


def _refused(means: Means, kernel: Kernel) -> Iterator[str]:
    if not means.rights:
        yield "Stoa’s Python has no ctypes, which walls need"
        return
    if not means.mounts and kernel.namespaces and means.kernel >= NAMESPACES:
        yield f"namespaces are refused ({means.why_no_mounts})"
    if not means.landlock and _has_landlock(means, kernel):
        yield f"Landlock is refused ({means.why_no_landlock})"
    if means.mounts and means.why_no_pids and not means.pids:
        yield f"a PID namespace is refused ({means.why_no_pids})"
    if means.pids and means.why_no_nests and means.kernel >= NESTED:
        yield f"namespaces within namespaces are refused ({means.why_no_nests})"
    if means.why_no_listens and _has_listeners(means, kernel):
        yield f"a seccomp filter with a listener is refused ({means.why_no_listens})"


def _has_listeners(means: Means, kernel: Kernel) -> bool:
    """Say whether the kernel lets a filter's listener fetch sockets (pidfd_getfd(2)), on a machine that is known."""
    known = os.uname().machine in seccomp.NATIVE
    return known and means.kernel >= LISTENERS and (kernel.filtered or NOT_BUILT not in means.why_no_listens)


def _has_landlock(means: Means, kernel: Kernel) -> bool:
    """Say whether the kernel has Landlock. "No such call" may be the word of a filter: it hides what it refuses."""
    if means.kernel < LANDLOCK or means.why_no_landlock == NOT_BOOTED:
        return False
    return kernel.filtered or means.why_no_landlock != NOT_BUILT
