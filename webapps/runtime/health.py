"""Ask a newcomer's health path before it says that it is ready, by calling the application: nobody else could answer.

Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from wsgiref.util import FileWrapper

from .loader import LoadError, own_traceback
from .spec import AppSpec

PATH = "the health path "


def check(application: Callable[..., Any], spec: AppSpec) -> None:
    """Ask a WSGI application. Raises LoadError where the answer is not the status that is wished."""
    try:
        status = _wsgi_status(application, spec)
    except Exception as error:
        raise LoadError(_raised(spec, error), detail=own_traceback(error)) from None
    _judge(spec, status)


def _wsgi_status(application: Callable[..., Any], spec: AppSpec) -> str:
    status: list[str] = []

    def start_response(line: str, _headers: Any, _exc_info: Any = None) -> Any:
        status[:] = [line]
        return lambda _data: None

    response = application(_environ(spec), start_response)
    try:
        for _part in response:
            pass
    finally:
        if hasattr(response, "close"):
            response.close()
    return status[0].partition(" ")[0] if status else ""


def _raised(spec: AppSpec, error: Exception) -> str:
    return f"{PATH}{spec.health_path} raised {type(error).__name__}: {error}"


def _judge(spec: AppSpec, status: str) -> None:
    wished = [spec.health_status] if spec.health_status else range(200, 400)
    if not (status.isdigit() and int(status) in wished):
        words = spec.health_status or "200 to 399"
        raise LoadError(f"{PATH}{spec.health_path} answered {status or 'nothing'}, not {words}")


def _environ(spec: AppSpec) -> dict[str, Any]:
    path, _, query = spec.health_path.partition("?")
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": spec.mount,
        "PATH_INFO": path,
        "RAW_URI": spec.mount + spec.health_path,
        "QUERY_STRING": query,
        "SERVER_NAME": spec.host or "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": spec.host or "localhost",
        "HTTP_USER_AGENT": "Stoa",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }


def asgi(application: Callable[..., Awaitable[None]], spec: AppSpec) -> Callable[..., Awaitable[None]]:
    """Wrap an ASGI application so that its lifespan startup is complete only when the health path has answered."""

    async def checked(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        asked = False

        async def healthy(message: dict[str, Any]) -> None:
            nonlocal asked
            if message["type"] == "lifespan.startup.complete":
                asked = True
                message = await _startup_message(application, spec, scope)
            await send(message)

        try:
            await application(scope, receive, healthy)
        except Exception:
            if asked:
                raise
            # It knows no lifespan, which is allowed; the server starts it all the same unless it is told not to.
            message = await _startup_message(application, spec, scope)
            if message["type"] == "lifespan.startup.complete":
                raise
            await send(message)

    return checked


async def _startup_message(application: Any, spec: AppSpec, lifespan: Any) -> dict[str, Any]:
    try:
        _judge(spec, await _status(application, spec, lifespan))
    except LoadError as error:
        return {"type": "lifespan.startup.failed", "message": str(error)}
    except Exception as error:
        return {"type": "lifespan.startup.failed", "message": _raised(spec, error)}
    return {"type": "lifespan.startup.complete"}


async def _status(application: Any, spec: AppSpec, lifespan: Any) -> str:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(_scope(spec, lifespan), receive, send)
    return next((str(message["status"]) for message in sent if message["type"] == "http.response.start"), "")


def _scope(spec: AppSpec, lifespan: Any) -> dict[str, Any]:
    path, _, query = spec.health_path.partition("?")
    host = spec.host or "localhost"
    scope = {
        "type": "http",
        "asgi": lifespan.get("asgi", {"version": "3.0", "spec_version": "2.3"}),
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": spec.mount + path,
        "raw_path": (spec.mount + path).encode(),
        "query_string": query.encode(),
        "root_path": spec.mount,
        "headers": [(b"host", host.encode()), (b"user-agent", b"Stoa")],
        "client": ("127.0.0.1", 0),
        "server": (host, 80),
    }
    if "state" in lifespan:
        scope["state"] = dict(lifespan["state"])
    return scope
