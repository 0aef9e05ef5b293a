"""The open WebSockets of a worker, so that they can be told to go when it leaves.

Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

# "The service is restarting": the client is to connect again (RFC 6455, section 7.4, and IANA's registry).
RESTART = 1012

Send = Callable[[dict[str, Any]], Awaitable[None]]


class WebSockets:
    """Who is connected."""

    def __init__(self) -> None:
        self.open: set[Send] = set()

    def noted(self, application: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Wrap an ASGI application so that its WebSockets are known while they are open."""

        async def served(scope: Any, receive: Any, send: Send) -> None:
            if scope["type"] != "websocket":
                await application(scope, receive, send)
                return
            self.open.add(send)
            try:
                await application(scope, receive, send)
            finally:
                self.open.discard(send)

        return served

    async def close(self) -> None:
        """Close those that are open; the application hears it as a disconnect."""
        message = {"type": "websocket.close", "code": RESTART, "reason": "the application is replaced"}
        await asyncio.gather(*(send(message) for send in self.open), return_exceptions=True)
