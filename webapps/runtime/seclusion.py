"""Keep what a process of Stoa's own knows from others of the same account (prctl(2), PR_SET_DUMPABLE).

Its environment, memory, descriptors, root and directory in /proc are root's then, and nobody else may trace it or have
its core. execve(2) undoes it, so each process begins with ``seclude``; fork(2) hands it on, so a worker begins with
``disclose``: what is hosted may be looked at by its owner. Runs in zygotes and workers too, under CPython from 3.10.
"""

from __future__ import annotations

import contextlib
from typing import Any

kernel: Any = None
try:
    from . import syscalls

    kernel = syscalls
except ImportError:
    pass  # An interpreter may have been built without ctypes.


def seclude() -> None:
    """Begin to keep to ourselves, unless Stoa's other processes could not see any more that we are there."""
    if not _hidden(_mounts()):
        _be_dumpable(0)


def disclose() -> None:
    """Let our account look at us again."""
    _be_dumpable(1)


def own_keys() -> None:
    """Have none of the keys that whoever started us has in his session, nor others of ours (keyrings(7))."""
    if kernel is not None:
        kernel.leave_session_keyring()


def is_secluded() -> bool:
    """Say whether we keep to ourselves."""
    return kernel is not None and kernel.prctl(kernel.PR_GET_DUMPABLE) != 1


def _be_dumpable(value: int) -> None:
    if kernel is not None:
        with contextlib.suppress(OSError):  # A kernel that knows nothing of it.
            kernel.prctl(kernel.PR_SET_DUMPABLE, value)


def _mounts() -> str:
    try:
        with open("/proc/self/mounts") as mounts:
            return mounts.read()
    except OSError:
        return ""


def _hidden(mounts: str) -> bool:
    """Say whether /proc shows only what its reader may trace (proc(5), hidepid): who keeps to himself is not there."""
    options = [line.split()[3] for line in mounts.splitlines() if line.split()[1:3] == ["/proc", "proc"]]
    return bool(options) and "hidepid=" in options[-1]
