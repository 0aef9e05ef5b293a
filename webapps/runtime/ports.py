"""Say in words why an application may not listen at a port: the kernel says no more than that it is denied.

Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import errno
import socket
import sys
from typing import Any

from . import walls

WORDS = "no port of this namespace; an administrator allows it in the namespace’s Limits by the line"


def explain(confinement: walls.Confinement) -> None:
    """Have ``socket.bind`` say which line of the namespace's Limits would permit it.

    It is an audit hook (PEP 578), which may raise: what is refused is refused by the kernel anyhow.
    """
    if not confinement.means.binds or not hasattr(sys, "addaudithook"):
        return

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event == "socket.bind":
            check(confinement.ports, *given)

    sys.addaudithook(hook)


def refused(error: BaseException) -> bool:
    """Say whether it is what ``check`` raises."""
    return isinstance(error, PermissionError) and WORDS in str(error)


def check(ports: tuple[tuple[int, int], ...], sock: Any, address: Any) -> None:
    """Raise PermissionError where a TCP socket is to be bound to a port that is not among these."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or sock.type != socket.SOCK_STREAM:
        return
    port = address[1] if isinstance(address, tuple) and len(address) > 1 else None
    if isinstance(port, int) and not any(first <= port <= last for first, last in ports):
        raise PermissionError(errno.EACCES, f"{port} is {WORDS} “ports: {port}”")
