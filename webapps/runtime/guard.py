"""Stand between the server and the application: its place in the URL, who asks, and what it may not answer.

Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

COOKIE_PREFIX = "stoa_"
UNBUFFERED = ("X-Accel-Buffering", "no")
UNBUFFERED_BYTES = (b"X-Accel-Buffering", b"no")

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
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
    """Say whether a Set-Cookie is for a cookie of Stoa's."""
    return cookie.lstrip().lower().startswith((COOKIE_PREFIX, "__host-" + COOKIE_PREFIX, "__secure-" + COOKIE_PREFIX))


def asgi(application: Callable[..., Awaitable[None]]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Wrap an ASGI application (ASGI 3) so that it sees its true client; its ``root_path`` is the server's part."""

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await application(scope, receive, send)
            return
        _believe_in_scope(scope)

        async def checked(message: dict[str, Any]) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message = {**message, "headers": _allowed_bytes(message)}
            await send(message)

        await application(scope, receive, checked)

    return mounted


def _believe_in_scope(scope: Scope) -> None:
    wanted = {}
    for name, value in scope["headers"]:
        if name in (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-port", b"host"):
            wanted[name] = value.decode("latin-1")
    if wanted.get(b"x-forwarded-for"):
        scope["client"] = (wanted[b"x-forwarded-for"], 0)
    if wanted.get(b"x-forwarded-proto"):
        secure = wanted[b"x-forwarded-proto"] == "https"
        plain = "ws" if scope["type"] == "websocket" else "http"
        scope["scheme"] = plain + "s" if secure else plain
    host, port = wanted.get(b"host", ""), wanted.get(b"x-forwarded-port", "")
    if host:
        scope["server"] = (
            host.rsplit(":", 1)[0] if not host.endswith("]") else host,
            int(port) if port.isdigit() else None,
        )


def _allowed_bytes(message: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """Do as ``allowed`` does; the bytes are looked at as they are, for most responses have nothing to leave out."""
    kept, sized = [], message["type"] == "websocket.accept"
    for name, value in ((bytes(name), bytes(value)) for name, value in message.get("headers") or ()):
        known = name.lower()
        if known == b"content-length":
            sized = True
        elif known.startswith(b"x-accel-") or (known == b"set-cookie" and is_stoas(value.decode("latin-1"))):
            continue
        kept.append((name, value))
    if not sized:
        kept.append(UNBUFFERED_BYTES)
    return kept
