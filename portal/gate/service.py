"""The gate as a WSGI callable: what nginx asks, what it shows instead of an application, and the ways in and out.

1. ``/ask``: 204 with ``Stoa-User``, ``Stoa-Groups`` and ``Stoa-Pass``, or 401 or 403 with ``Stoa-Why``.
   nginx's ``auth_request``.
2. ``/denied``: the whole answer for a request that was refused with ``Stoa-Why``.
3. ``/-/enter?code=…``: exchange a one-time code for the application's cookie.
4. ``/-/leave``: sign out of all applications.

The front names the application by its id in ``Stoa-App``; no path of an application is parsed here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.conf import settings  # noqa: E402

from webapps.identity import Identity  # noqa: E402
from webapps.runtime import control  # noqa: E402

from . import snapshot as rows  # noqa: E402
from .decision import Outcome  # noqa: E402
from .denial import Denials  # noqa: E402
from .doorway import Doorway  # noqa: E402
from .gatekeeper import Gatekeeper  # noqa: E402
from .origins import Origins  # noqa: E402
from .pages import Answer  # noqa: E402
from .passes import Revoker  # noqa: E402
from .passwords import Passwords  # noqa: E402
from .tokens import Signer, from_https  # noqa: E402
from .watch import Watch  # noqa: E402

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]

PASS, ASK_WHO, REFUSE = "204 No Content", "401 Unauthorized", "403 Forbidden"
#: What nginx's auth_request understands.
STATUS = {Outcome.ENTER: PASS, Outcome.SIGN_IN: ASK_WHO, Outcome.WRONG: ASK_WHO}


class Service:
    """Answer nginx (PEP 3333)."""

    def __init__(self, secret: str, origins: Origins) -> None:
        signer = Signer(secret)
        self.watch = Watch(Identity(settings.STOA_HOME).counters, lambda: rows.read(signer.key))
        self.keeper = Gatekeeper(signer, self.watch, Passwords())
        self.denials = Denials(self.keeper, origins)
        self.doorway = Doorway(self.keeper, origins)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"]
        if environ.get("HTTP_STOA_SCHEME") == "https":
            environ["HTTP_COOKIE"] = from_https(environ.get("HTTP_COOKIE", ""))
        if path == "/ask":
            return self._ask(environ, start_response)
        if path == "/denied":
            return _send(self.denials.answer(environ), start_response)
        if path == "/-/enter":
            code = parse_qs(environ.get("QUERY_STRING", "")).get("code", [""])[0]
            return _send(self.doorway.enter(code, environ), start_response)
        return _send(self.doorway.leave(environ), start_response)

    def _ask(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        said = self.keeper.ask(environ)
        status = STATUS.get(said.decision.outcome, REFUSE)
        if status is REFUSE and "HTTP_STOA_FILES" in environ:
            status = ASK_WHO  # nginx itself says 403 of a file: what is refused here must be told apart.
        start_response(status, said.headers)
        return ()


def _send(answer: Answer, start_response: StartResponse) -> Iterable[bytes]:
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", answer.headers)
    return (answer.body,)


def _origins() -> Origins:
    names = os.environ.get("STOA_NAMES", "")
    return Origins(settings.STOA_URL, settings.STOA_PORTAL_URL, frozenset(filter(None, names.split(","))))


def serving() -> Service:
    """Return the gate, looking at the rows: gunicorn calls this in its worker."""
    service = Service(settings.SECRET_KEY, _origins())
    service.watch.start()
    Revoker(service.watch, partial(control.ask, settings.STOA_HOME / "run")).start()
    return service
