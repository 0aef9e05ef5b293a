"""An ASGI application's lifespan (ASGI 3, "Lifespan Protocol"): gunicorn's, but what goes wrong in it is said.

An application that knows nothing of it raises before it asks for an event, and serves all the same. One that
has asked knows it: its exception means that what it wanted to prepare is not there.
Runs inside the application's process under any CPython from 3.10.
"""

from __future__ import annotations

from typing import Any

from gunicorn.asgi.lifespan import LifespanManager


class Lifespan(LifespanManager):  # type: ignore[misc]
    """Startup and shutdown of one application."""

    def __init__(self, app: Any, logger: Any, state: dict[str, Any] | None = None) -> None:
        super().__init__(self._told, logger, state)
        self.application = app
        self.asked = False

    async def _told(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.application(scope, receive, send)
        except Exception:
            if self.asked and not self._startup_reported:
                self.logger.exception(self._words())
            raise

    def _words(self) -> str:
        if self._startup_complete.is_set():
            return "the ASGI application's lifespan ended with an exception"
        return "the ASGI application's lifespan startup raised; it serves all the same, as ASGI asks, without it"

    async def _receive(self) -> Any:
        self.asked = True
        return await super()._receive()
