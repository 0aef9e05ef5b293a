"""How a connection ends that the other end may still be writing to: what was said last has to be read first.

Whoever closes a socket with something unread in it makes the other end's next write fail (unix(7): EPIPE,
ECONNRESET), and a front that cannot write does not look at what it might have read (RFC 9112, section 9.6).
Runs inside the application's process.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import Any

# So long (seconds) the other end may go on writing.
LINGER = 5.0


class Lingering:
    """A transport that, once closed, says so, and ends when the other end closes too. What comes is not for anybody."""

    def __init__(self, transport: Any, loop: AbstractEventLoop) -> None:
        self.transport = transport
        self.loop = loop
        self.closing = False
        self.paused = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def pause_reading(self) -> None:
        """Read nothing for a while, unless it is the end that is waited for."""
        if not self.closing:
            self.paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        if self.paused:
            self.paused = False
            self.transport.resume_reading()

    def can_write_eof(self) -> bool:
        """Say that closing does it."""
        return False

    def close(self) -> None:
        """Say that nothing more comes, and read on."""
        if self.closing:
            return
        self.closing = True
        self.resume_reading()
        try:
            self.transport.write_eof()
        except (OSError, RuntimeError):
            pass  # It has gone already.
        self.loop.call_later(LINGER, self.transport.close)
