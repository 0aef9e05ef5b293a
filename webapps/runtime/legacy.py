"""What is left when the keeper is killed: the log writer keeps a second hand on all that the keeper holds.

The next start asks for it at ``left.sock`` (``takeover``), from its own user only: ``{"do": "list", "of": PREFIX}`` is
answered by one packet for each key that begins so, ``{"key", "meta"}`` with its descriptors, and ``{"end": true}``.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from . import wire
from .held import Held

SOCKET = "left.sock"
PATIENCE = 5.0


class Legacy:
    """Hold, and hand over to whoever asks. ``pipes`` returns what the log writer reads itself."""

    def __init__(self, epoll: select.epoll, pipes: Callable[[], Iterable[tuple[str, Held]]]) -> None:
        self.held: dict[str, Held] = {}
        self._epoll = epoll
        self._pipes = pipes
        self._server: socket.socket | None = None
        self._callers: dict[int, socket.socket] = {}

    def hold(self, key: str, held: Held) -> None:
        """Keep descriptors, or a mere note, in place of what was kept under the key."""
        self.drop(key)
        self.held[key] = held

    def drop(self, key: str) -> None:
        """Close what is kept under a key."""
        held = self.held.pop(key, None)
        if held:
            wire.close_all(held.fds)

    def answer_at(self, path: Path) -> None:
        """Hand over from now on, in place of whoever did until now."""
        if self._server is None:
            self._server = wire.listen(path)
            self._epoll.register(self._server, select.EPOLLIN)

    def serve(self, fd: int) -> bool:
        """Accept or answer; say whether the descriptor is one of ours."""
        if self._server and fd == self._server.fileno():
            self._accept(self._server)
        elif fd in self._callers:
            self._answer(self._callers[fd])
        else:
            return False
        return True

    def _accept(self, server: socket.socket) -> None:
        caller, _address = server.accept()
        try:
            wire.check_peer(caller)
        except wire.PeerRefused:
            caller.close()
            return
        caller.settimeout(PATIENCE)
        self._callers[caller.fileno()] = caller
        self._epoll.register(caller, select.EPOLLIN)

    def _answer(self, caller: socket.socket) -> None:
        try:
            received = wire.receive(caller)
            if received is None:
                raise ConnectionError
            wire.close_all(received[1])
            self._hand_over(caller, str(received[0].get("of", "")))
        except (OSError, ValueError, AttributeError):
            del self._callers[caller.fileno()]
            self._epoll.unregister(caller)
            caller.close()

    def _hand_over(self, caller: socket.socket, prefix: str) -> None:
        pipes = dict(self._pipes())  # First: with it comes what the keeper said last.
        for key, held in (self.held | pipes).items():
            if key.startswith(prefix):
                wire.send(caller, {"key": key, "meta": held.meta}, held.fds)
        wire.send(caller, {"end": True})
