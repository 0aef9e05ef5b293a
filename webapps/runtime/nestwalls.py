"""The walls around a zygote, which executes the interpreter of an environment and imports its packages.

Its workers raise their own within: so there is no limit, which they would inherit, and no Landlock. For files it would
forbid them to mount; without files its first layer still keeps whoever adds another one from renaming into another
directory (LANDLOCK_ACCESS_FS_REFER, landlock(7)). It reaches nothing of any application's: a worker is sent the
root that it needs (``owntree``). Runs in Stoa's own Python, up to the moment in which that is replaced by the
environment's.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from . import ownroot, seccomp, walls
from . import syscalls as kernel

# What root needs in addition to raise the walls of its workers: mounts and PID namespaces, and to give rights up.
ROOT_RAISES = (8, 21)
# Root's workers are numbered by it (``firstprocess``); all other settings of the kernel are read only.
NUMBERS = "/proc/sys/kernel/ns_last_pid"


def raise_around(wished: walls.Confinement, send_filter: Callable[[int], None]) -> None:
    """Put them around this process, in whose PID namespace ``/proc`` is. Raises OSError.

    1. A user namespace (not for root) and a mount namespace with a root in which nothing can be written but what is
    temporary. 2. No rights, for root those that its workers' walls need. 3. A filter for listen(2), whose listener is
    sent to who decides.
    """
    settings = [] if wished.means.uid else [*((path, False) for path in walls.SETTINGS), (NUMBERS, True)]
    ownroot.leave_the_machines()
    ownroot.enter([*ownroot.in_order(wished.read, wished.write), ("/proc", True), *settings], hide=wished.hide)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if os.geteuid() == 0:
        kernel.keep_capabilities((*walls.ROOT_KEEPS, *ROOT_RAISES))
    else:
        kernel.set_capabilities(0)
    if wished.means.listens:
        send_filter(seccomp.install())
