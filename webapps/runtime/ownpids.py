"""Processes of its own for one worker: a PID namespace, outside of which it neither sees nor names anybody.

What takes a process id reaches nobody outside: signals, limits (prlimit(2)), priorities, affinities, memory. The
namespace's first process is not the worker: default signals would not end that, and orphans would stay zombies
(``firstprocess``). The zygote adopts both, so that it collects the worker as it does any child. Runs inside the
application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import NoReturn

from . import firstprocess, ownroot
from . import syscalls as kernel

IN_PLACE = firstprocess.IN_PLACE

entered = False


def adopt() -> None:
    """Have what descendants leave behind given to us (prctl(2)): a worker and the first process of its namespace."""
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)


def hear(link: socket.socket) -> int:
    """Return the process id of the worker that a child has put into a namespace, 0 where it did not come to that.

    ``link`` is connected to the descriptor that ``enter`` was given. The child waits for ``let_go``.
    """
    return int(link.recv(32) or 0)


def let_go(link: socket.socket, child: int) -> None:
    """Have the child leave us its worker, of which somebody else knows by now."""
    with contextlib.suppress(OSError):
        link.send(IN_PLACE)
    os.waitpid(child, 0)


def enter(told: int = -1) -> None:
    """Go on as another process, in a mount and a PID namespace of its own. Raises OSError, outside of them.

    1. Our first child begins the PID namespace (unshare(2)), and keeps little. 2. Our second one goes on as the worker.
    3. We write its process id to ``told``, wait for an answer, hand a hold on it to the first process, and end.
    Whoever is killed meanwhile, the zygote included, the first process ends, and with it the worker. It is all done
    early: a first process that is a copy of ours keeps the memory that was written to before.
    """
    global entered
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    ownroot.leave_the_machines(pids=True)
    with firstprocess.begin() as first:
        worker = os.fork()
        if worker:
            _hand_over(worker, first, told)
    entered = True
    os.setpgid(0, 0)
    if told >= 0:
        os.close(told)


def _hand_over(worker: int, first: socket.socket, told: int) -> NoReturn:
    """Say who the worker is, and end. It leads a group in our session, to which the first process belongs too."""
    try:
        os.setpgid(worker, worker)  # It does so too: whoever is told of it can signal its group.
        if told < 0 or (os.write(told, str(worker).encode()) and os.read(told, 1) == IN_PLACE):
            firstprocess.hold(first, worker)
    finally:
        os._exit(0)
