"""Processes of its own for one worker: a PID namespace, outside of which it neither sees nor signals anybody.

The namespace's first process is not the worker: default signals would not end that, and orphans would stay zombies.
It waits for the worker's end, and the kernel ends with it whatever is left in the namespace. The zygote adopts both, so
that it collects the worker as it does any child. Runs inside the application's process under any CPython from 3.10, so
it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
from typing import NoReturn

from . import ownroot
from . import syscalls as kernel

NEXT = "/proc/sys/kernel/ns_last_pid"
IN_PLACE = b"+"
# What the first process may have: a worker without Landlock could make it its own by ptrace(2).
LITTLE = {resource.RLIMIT_NPROC: 0, resource.RLIMIT_NOFILE: 16, resource.RLIMIT_DATA: 1 << 30}

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
    """Go on as another process, in a user, a mount and a PID namespace of its own. Raises OSError, outside of them.

    1. Our first child begins the PID namespace (unshare(2)), and keeps little. 2. Our second one goes on as the worker.
    3. We write its process id to ``told``, wait for an answer, hand a hold on it to the first process, and end.
    Whoever is killed meanwhile, the zygote included, the first process ends, and with it the worker. It is all done
    early: memory that was written to before is the first process's for good.
    """
    global entered
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    ownroot.enter_user_namespace(pids=True)
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            if os.fork() == 0:
                _be_first(theirs)
        if ours.recv(1) != IN_PLACE:
            raise OSError("the first process of its PID namespace has ended")
        worker = os.fork()
        if worker:
            _hand_over(worker, ours, told)
    entered = True
    os.setpgid(0, 0)
    if told >= 0:
        os.close(told)


def _hand_over(worker: int, first: socket.socket, told: int) -> NoReturn:
    """Say who the worker is, and end. It leads a group in our session, to which the first process belongs too."""
    try:
        os.setpgid(worker, worker)  # It does so too: whoever is told of it can signal its group.
        hold = kernel.pidfd_open(worker)
        if told < 0 or (os.write(told, str(worker).encode()) and os.read(told, 1) == IN_PLACE):
            socket.send_fds(first, [IN_PLACE], [hold])
    finally:
        os._exit(0)


def _be_first(sock: socket.socket) -> NoReturn:
    """Wait for the worker's end; hold nothing whose end somebody waits for, and nothing of the machine's."""
    try:
        _number_next()  # What it opens is closed with the rest.
        os.chdir("/")
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd != sock.fileno():
                with contextlib.suppress(OSError):
                    os.close(fd)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Orphans leave no zombies.
        _keep_little()
        sock.send(IN_PLACE)
        _said, holds, _flags, _address = socket.recv_fds(sock, 1, 1)
        sock.close()
        ended = select.poll()
        for hold in holds:
            ended.register(hold, select.POLLIN)
            ended.poll()
    finally:
        os._exit(0)


def _keep_little() -> None:
    for kind, most in LITTLE.items():
        resource.setrlimit(kind, (most, most))
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.set_capabilities(0)


def _number_next() -> None:
    """Have the worker's process id follow ours of outside: applications name files and locks by it.

    So no two workers have the same, and mostly it is what is known outside. Where the kernel was built without this
    (CONFIG_CHECKPOINT_RESTORE) each worker is process 2.
    """
    with contextlib.suppress(OSError):
        os.write(os.open(NEXT, os.O_WRONLY), os.readlink(b"/proc/self"))
