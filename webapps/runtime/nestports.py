"""At which ports the processes of a nest may listen: each worker has its own, and nobody else there has any.

A worker is known by its PID namespace, which it tells before anything of its application is imported. Whoever does so
for it, a package of its environment, has what the application has, and no more.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
from collections.abc import Sequence

Of = Sequence[tuple[int, int]]
CREDENTIALS = struct.Struct("3i")


class Ports:
    """Who may listen where."""

    def __init__(self, selector: selectors.DefaultSelector) -> None:
        self.selector = selector
        self.links: dict[str, socket.socket] = {}
        self.spaces: dict[str, int] = {}
        self.by_space: dict[int, Of] = {}

    def expect(self, key: str, ports: Of) -> int:
        """Return what the worker of a key makes itself known by (``seccomp_agent.announce``)."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.links[key] = ours
        self.selector.register(ours, selectors.EVENT_READ, lambda _sock: self._known(key, ports))
        return theirs.detach()

    def _known(self, key: str, ports: Of) -> None:
        """Note the namespace of who sends, as the kernel names him (unix(7), SCM_CREDENTIALS)."""
        sock = self.links[key]
        try:
            said, ancillary, _flags, _address = sock.recvmsg(1, socket.CMSG_SPACE(CREDENTIALS.size))
            if said:
                self._note(key, CREDENTIALS.unpack(ancillary[0][2])[0], ports)
                sock.send(b"+")
        except (OSError, IndexError, struct.error):
            pass  # It has ended.
        self._close(key)

    def _note(self, key: str, process: int, ports: Of) -> None:
        space = _space(process)
        if space != _space(os.getpid()):
            self.spaces[key], self.by_space[space] = space, ports

    def of(self, process: int) -> Of:
        """Return the ports at which a process may listen."""
        try:
            return self.by_space.get(_space(process), ())
        except OSError:
            return ()  # It has ended.

    def forget(self, key: str) -> None:
        """Forget a worker that has ended: another namespace may get its number."""
        self._close(key)
        self.by_space.pop(self.spaces.pop(key, 0), None)

    def _close(self, key: str) -> None:
        if sock := self.links.pop(key, None):
            self.selector.unregister(sock)
            sock.close()


def _space(process: int) -> int:
    """Return the number of a process's PID namespace."""
    return os.stat(f"/proc/{process}/ns/pid").st_ino
