"""The gate as an ASGI callable: what nginx asks, what it shows instead of an application, and the ways in and out.

1. ``/ask``: 204 with ``Stoa-User`` and ``Stoa-Groups``, or 401 or 403 with ``Stoa-Why``. nginx's ``auth_request``.
2. ``/denied``: the whole answer for a request that was refused with ``Stoa-Why``.
3. ``/-/enter?code=…``: exchange a one-time code for the application's cookie.
4. ``/-/leave``: sign out of all applications.

The front names the application by its id in ``Stoa-App``; no path is parsed here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import close_old_connections  # noqa: E402

from webapps.models import Change  # noqa: E402

from . import snapshot as rows  # noqa: E402
from . import tokens  # noqa: E402
from .decision import Decision, Outcome  # noqa: E402
from .denial import Denials  # noqa: E402
from .doorway import Doorway  # noqa: E402
from .gatekeeper import Gatekeeper, Said  # noqa: E402
from .origins import Origins  # noqa: E402
from .pages import Answer  # noqa: E402
from .passwords import Passwords  # noqa: E402
from .watch import Watch  # noqa: E402

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

#: What nginx's auth_request understands: pass, ask who it is, refuse.
STATUS = {Outcome.ENTER: 204, Outcome.SIGN_IN: 401, Outcome.WRONG: 401}
EMPTY = {"type": "http.response.body", "body": b""}


class Service:
    """Answer nginx."""

    def __init__(self, secret: str, origins: Origins) -> None:
        self.watch = Watch(_counters, lambda: rows.read(tokens.Signer(secret).key))
        self.passwords = Passwords()
        self.keeper = Gatekeeper(secret, self.watch, self.passwords)
        self.denials = Denials(self.keeper, origins)
        self.doorway = Doorway(self.keeper, origins)
        self.threads = ThreadPoolExecutor(4, "doorway")
        self.tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path = scope["path"]
        if path == "/ask":
            await self._ask(dict(scope["headers"]), send)
        elif path == "/denied":
            headers = dict(scope["headers"])
            await _send(send, await self.denials.answer(headers))
        else:
            await _send(send, await self._own(path, scope))

    async def _ask(self, headers: dict[bytes, bytes], send: Send) -> None:
        said = await self.keeper.ask(headers)
        status = STATUS.get(said.decision.outcome, 403)
        if b"stoa-files" in headers and status == 403:
            status = 401  # nginx itself says 403 of a file: what is refused here must be told apart.
        await send({"type": "http.response.start", "status": status, "headers": _told(said)})
        await send(EMPTY)

    async def _own(self, path: str, scope: Scope) -> Answer:
        """Answer a page of the gate's own, in a thread: it asks the database."""
        headers = dict(scope["headers"])
        query = parse_qs(scope["query_string"].decode("latin-1"))
        loop = asyncio.get_running_loop()
        if path == "/-/enter":
            code = query.get("code", [""])[0]
            return await loop.run_in_executor(self.threads, self.doorway.enter, code, headers)
        return await loop.run_in_executor(self.threads, self.doorway.leave, scope["method"], headers)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Begin to watch the rows, and stop when the server does."""
        await receive()
        self.tasks.append(asyncio.create_task(self.watch.run()))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in self.tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.passwords.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _told(said: Said) -> list[Header]:
    """Return what the front passes on to the application, or why it may not."""
    decision: Decision = said.decision
    if decision.outcome is not Outcome.ENTER:
        why = decision.outcome.value if not said.seconds else f"{decision.outcome.value} {said.seconds}"
        return [(b"stoa-why", why.encode()), (b"content-length", b"0")]
    headers = [(b"stoa-user", decision.user.encode()), (b"stoa-groups", groups(decision.roles))]
    if said.cookie:
        headers.append((b"set-cookie", said.cookie.encode()))
    return headers


def groups(roles: tuple[str, ...]) -> bytes:
    """Return the roles as one line; a name that could be taken for two, or end the line, is left out."""
    return ",".join(role for role in roles if "," not in role and role.isprintable()).encode()


async def _send(send: Send, answer: Answer) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


def _counters() -> tuple[int, int]:
    close_old_connections()
    return Change.counters()


def _origins() -> Origins:
    names = os.environ.get("STOA_NAMES", "")
    return Origins(settings.STOA_URL, settings.STOA_PORTAL_URL, frozenset(filter(None, names.split(","))))


application = Service(settings.SECRET_KEY, _origins())
