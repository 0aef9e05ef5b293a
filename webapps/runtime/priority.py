"""The priority of a worker among all that runs on the machine. Runs beside hosted code, under any CPython from 3.10."""

from __future__ import annotations

import contextlib
import os
import time

AUTOGROUP = "/proc/self/autogroup"
# The kernel takes one in a tenth of a second, of all accounts together.
TRIES, PAUSE = 10, 0.1


def lower(nice: int) -> None:
    """Leave others the processor: within our session, and as a session, among which it is shared (sched(7))."""
    os.nice(nice)
    with contextlib.suppress(OSError):  # A kernel without autogroups.
        group = os.open(AUTOGROUP, os.O_WRONLY | os.O_CLOEXEC)
        with open(group, "wb", buffering=0) as file:
            for _attempt in range(TRIES):
                if file.write(str(nice).encode()):  # None where another one was taken just now.
                    break
                time.sleep(PAUSE)
