"""Stand between the server and the application: its place in the URL, who asks, and what it may not answer.

Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

COOKIE_PREFIX = "stoa_"
BEFORE = "= \t\n\r\v\f"
UNBUFFERED = ("X-Accel-Buffering", "no")
UNBUFFERED_BYTES = (b"X-Accel-Buffering", b"no")

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Address = tuple[str, int | None] | None
Send = Callable[[dict[str, Any]], Awaitable[None]]


NOT_BYTES = "PEP 3333 requires bytes"


def place(environ: Environ, mount: str) -> bool:
    """Put a WSGI application below ``mount``; say whether the path is there."""
    # The front has checked that the raw path begins with the name, which needs no decoding.
    path = environ["PATH_INFO"]
    rest = path[len(mount) :]
    if not path.startswith(mount) or (rest and rest[0] != "/"):
        return False
    environ["SCRIPT_NAME"] = mount
    environ["PATH_INFO"] = rest
    return True


def believe_the_front(environ: Environ) -> None:
    """Take client and scheme from the front, which overwrites what a client may have sent.

    It sees the headers alone: the worker remembers what equal headers lead to.
    """
    client = environ.get("HTTP_X_FORWARDED_FOR")
    if client:
        environ["REMOTE_ADDR"] = client
    environ.setdefault("REMOTE_PORT", "0")
    _name_the_person(environ)
    environ["wsgi.url_scheme"] = scheme = environ.get("HTTP_X_FORWARDED_PROTO") or "http"
    if scheme == "https":
        environ["HTTPS"] = "on"
    port = environ.get("HTTP_X_FORWARDED_PORT")
    if port:
        environ["SERVER_PORT"] = port


def _name_the_person(environ: Environ) -> None:
    """Tell who was let in, and by which roles: nginx overwrites what a client may have sent under these names."""
    for name in ("REMOTE_USER", "REMOTE_GROUPS"):
        value = environ.pop(f"HTTP_{name}", "")
        if value:
            environ[name] = value


def allowed(headers: Headers) -> Headers:
    """Leave out what would steer the front or set a cookie of Stoa's (``design.md``, rule 8).

    A response of unknown length is marked to be passed on as it comes: nginx would otherwise hold
    small pieces back (ngx_http_proxy_module, proxy_buffering).
    """
    kept, sized = [], False
    for header in headers:
        name = header[0].lower()
        if name == "content-length":
            sized = True
        elif steers(name) or (name == "set-cookie" and is_stoas(header[1])):
            continue
        kept.append(header)
    if not sized:
        kept.append(UNBUFFERED)
    return kept


def steers(name: str) -> bool:
    """Say whether a header, by its lower-case name, would steer the front."""
    return name.startswith("x-accel-")


def is_stoas(cookie: str) -> bool:
    """Say whether a Set-Cookie is for a cookie of Stoa's; one without a name is sent back as its value."""
    begins = cookie.lstrip(BEFORE).lower()
    return begins.startswith((COOKIE_PREFIX, "__host-" + COOKIE_PREFIX, "__secure-" + COOKIE_PREFIX))


def websocket(application: Callable[..., Awaitable[None]]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Wrap an ASGI application so that what it answers to a WebSocket's opening does not steer the front."""

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        async def checked(message: dict[str, Any]) -> None:
            if message["type"] == "websocket.accept":
                message = {**message, "headers": _allowed_bytes(message.get("headers") or ())}
            await send(message)

        await application(scope, receive, checked)

    return opened


def believe_in_scope(scope: Scope) -> None:
    """Take client, scheme and server of an ASGI scope from the front; ``root_path`` is the server's part."""
    client, scheme, server = believed(dict(scope["headers"]), "ws" if scope["type"] == "websocket" else "http")
    scope["client"], scope["scheme"], scope["server"] = client, scheme, server


def believed(headers: Mapping[bytes, bytes], plain: str) -> tuple[Address, str, Address]:
    """Return client, scheme and server by the front's headers; ``plain`` is the scheme without TLS."""
    client = headers.get(b"x-forwarded-for")
    secure = headers.get(b"x-forwarded-proto") == b"https"
    server = _server(headers.get(b"host", b""), headers.get(b"x-forwarded-port", b""))
    return (client.decode("latin-1"), 0) if client else None, plain + "s" if secure else plain, server


@functools.lru_cache(maxsize=512)
def _server(host: bytes, port: bytes) -> Address:
    if not host:
        return None
    name = host if host.endswith(b"]") else host.rsplit(b":", 1)[0]
    return name.decode("latin-1"), int(port) if port.isdigit() else None


def _allowed_bytes(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    pairs = [(bytes(name), bytes(value)) for name, value in headers]
    return [(name, value) for name, value in pairs if not steers_bytes(name.lower(), value)]


def steers_bytes(name: bytes, value: bytes) -> bool:
    """Say whether a header, by its lower-case name, is one that ``allowed`` leaves out."""
    return name.startswith(b"x-accel-") or (name == b"set-cookie" and is_stoas(value.decode("latin-1")))
