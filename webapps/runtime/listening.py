"""A packet socket at a path, bound anew where somebody has removed the file."""

from __future__ import annotations

import socket
from pathlib import Path

from . import wire


class Listening:
    """Where a process of Stoa's is asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = wire.listen(path)

    def mended(self) -> socket.socket | None:
        """Return the socket that was there before, which nobody finds any more, None where all is well."""
        if self.path.exists():  # Ours, or that of one that has taken over from us.
            return None
        before, self.sock = self.sock, wire.listen(self.path)
        return before
