"""A file system for one worker that somebody else has put together: a zygote behind walls reaches nothing to do so.

Who stands outside of the zygote's walls builds the root with all mounts, and hands over one descriptor of it; the
worker makes it its own. Its mounts are locked: who has all rights in a namespace of his own can neither take one away
nor make one writable (mount_namespaces(7)). Runs inside the application's process too, under any CPython from 3.10, so
it imports the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from typing import Any

from . import ownroot
from . import syscalls as kernel

HERE = b"+"
PROC = ("/proc", True)


def hand_over(link: socket.socket, reached: Iterable[tuple[str, bool]], **more: Any) -> None:
    """Build a root (``ownroot.enter``) and send it, or the words why that cannot be. We have no other root afterwards.

    Needs user and mount namespace of our own, and ``/proc`` of our own PID namespace.
    """
    try:
        kernel.unshare(kernel.CLONE_NEWNS)
        ownroot.enter((*reached, PROC), **more)
        _lock()
        socket.send_fds(link, [HERE], [kernel.open_tree("/")])
    except OSError as error:
        with contextlib.suppress(OSError):
            link.send(str(error).encode())


def _lock() -> None:
    """Have all of it be another user namespace's, whose mounts a copy keeps locked. Root's namespaces are all alike."""
    if os.geteuid():
        ownroot.leave_the_machines()


def move_into(link: int, read_only: Iterable[str] = ()) -> None:
    """Make the root ours that we are sent, with a ``/proc`` of our PID namespace in it. Raises OSError.

    ``read_only`` is what is not to be written in there.
    """
    tree = _received(link)
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.move_mount(tree, ownroot.TMP)
    os.close(tree)
    os.chdir(ownroot.TMP)
    ownroot.show_processes(f"{ownroot.TMP}/proc")
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")
    for path in filter(os.path.exists, read_only):
        kernel.mount(path, path, flags=kernel.MS_BIND | kernel.MS_REC)
        kernel.read_only(path)


def _received(link: int) -> int:
    with socket.socket(fileno=link) as sock:
        said, fds, _flags, _address = socket.recv_fds(sock, 4096, 1)
    if not fds:
        raise OSError(said.decode(errors="replace") or "who builds its root has gone")
    return fds[0]
