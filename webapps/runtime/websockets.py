"""The open WebSockets of a worker: they are told to go when it leaves, or when who opened them may not enter any more.

Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .gauge import Gauge

# "The service is restarting": the client is to connect again; "policy violation": it was signed out, or may not enter
# any more (RFC 6455, section 7.4, and IANA's registry).
RESTART, REVOKED = 1012, 1008
# How often (seconds) it is looked whether a pass still counts.
LOOK = 0.5
# What the front says of a WebSocket that the gate has let in.
PASS = b"stoa-pass"

Send = Callable[[dict[str, Any]], Awaitable[None]]


class WebSockets:
    """Who is connected, and by which pass (its slot in the gauge, -1 for none)."""

    def __init__(self, gauge: Gauge) -> None:
        self.gauge = gauge
        self.open: dict[Send, int] = {}
        self.looking: asyncio.Task[None] | None = None

    def noted(self, application: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Wrap an ASGI application so that its WebSockets are known while they are open."""

        async def served(scope: Any, receive: Any, send: Send) -> None:
            if scope["type"] != "websocket":
                await application(scope, receive, send)
                return
            slot = self._hold(scope)
            self.open[send] = slot
            try:
                await application(scope, receive, self._checked(send, slot) if slot >= 0 else send)
            finally:
                del self.open[send]
                if slot >= 0:
                    self.gauge.let_go(slot)

        return served

    def _hold(self, scope: Any) -> int:
        """Take the pass out of the headers, and show it where it can be revoked."""
        text = next((value for name, value in scope["headers"] if name == PASS), b"")
        if not text:
            return -1
        scope["headers"] = [header for header in scope["headers"] if header[0] != PASS]
        if self.looking is None or self.looking.done():
            self.looking = asyncio.get_running_loop().create_task(self._look())
        return self.gauge.hold(text.decode("latin-1"))

    def _checked(self, send: Send, slot: int) -> Send:
        async def checked(message: dict[str, Any]) -> None:
            if self.gauge.is_revoked(slot):
                raise ConnectionError("who opened this WebSocket may not enter any more")
            await send(message)

        return checked

    async def _look(self) -> None:
        """Close those whose pass does not count any more, as long as there are passes."""
        while any(slot >= 0 for slot in self.open.values()):
            await asyncio.sleep(LOOK)
            ended = [send for send, slot in self.open.items() if slot >= 0 and self.gauge.is_revoked(slot)]
            await _close(ended, REVOKED, "signed out, or the rights have changed")

    async def close(self) -> None:
        """Close those that are open; the application hears it as a disconnect."""
        await _close(list(self.open), RESTART, "the application is replaced")


def unmask(_protocol: Any, payload: bytes, key: bytes) -> bytes:
    """Take the mask off a client's frame (RFC 6455, section 5.3) in one step.

    gunicorn does it byte by byte: 60 kB take 59 ms, in which nobody else of the worker is answered.
    """
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


async def _close(sends: list[Send], code: int, reason: str) -> None:
    message = {"type": "websocket.close", "code": code, "reason": reason}
    await asyncio.gather(*(send(message) for send in sends), return_exceptions=True)
