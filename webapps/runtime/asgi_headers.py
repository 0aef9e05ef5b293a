"""The heads of ASGI requests and responses: what an ordinary one says, checked, and without what would steer the front.

Names are checked once each and looked up afterwards. Runs inside the application's process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from gunicorn.asgi.parser import RFC9112_TARGET_INVALID, InvalidHeader

from . import asgi_framing, guard
from .wsgi_headers import WrongHeader
from .wsgi_request import CACHED, CONTROLS, TOKEN

# With one of these a request is not ordinary: gunicorn reads it.
UNUSUAL = frozenset((b"connection", b"expect", b"transfer-encoding", b"upgrade"))
ASGI = {"version": "3.0", "spec_version": "2.4"}
VERSIONS = {(1, 1): "1.1", (1, 0): "1.0"}
# What Heads keep: so many requests, of so many bytes at most, without one of these.
KNOWN, LONGEST_HEAD = 64, 2048
SECRET = frozenset((b"authorization", b"cookie", b"proxy-authorization"))
# What a name in a response means here.
PLAIN, LENGTH, COOKIE, LEFT_OUT = range(4)
# They are about one connection, which is the server's matter (ASGI, "Response Start").
SERVERS_OWN = (b"connection", b"keep-alive", b"transfer-encoding")
Scope = dict[str, Any]
BREAKS = CONTROLS + b"\r\n"
MEANINGS: dict[bytes, int] = {}


class Request:
    """An ordinary request, as far as gunicorn's body receiver and the exchange want to know it."""

    __slots__ = ("_expect_100_continue", "chunked", "content_length", "method", "must_close", "scope", "version")

    def __init__(self, scope: Scope, version: tuple[int, int], content_length: int, must_close: bool) -> None:
        self.scope = scope
        self.method = scope["method"]
        self.version = version
        self.content_length = content_length
        self.must_close = must_close
        self.chunked = self._expect_100_continue = False

    def should_close(self) -> bool:
        """Say whether it is the connection's last."""
        return self.must_close


class Heads:
    """Requests that come again byte for byte, as those of one client do, are read once. For one application.

    Kept, in bounds, are those without a body, a query, or anything else that may be somebody's secret.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, Scope] = {}
        self.seen: set[int] = set()

    def find(self, data: bytes, state: dict[str, Any]) -> Request | None:
        """Return the request of which all is there, if it is known."""
        scope = self.known.get(data)
        if scope is None:
            return None
        return Request(_fresh(scope, state), (1, 1), 0, False)

    def learn(self, data: bytes, request: Request) -> None:
        """Keep what came a second time, if it may be kept."""
        if len(data) > LONGEST_HEAD or data.find(b"\r\n\r\n") != len(data) - 4:
            return
        scope = request.scope
        if request.must_close or request.content_length or request.version != (1, 1) or scope["query_string"]:
            return
        mark = hash(data)
        if mark not in self.seen:
            if len(self.seen) >= CACHED:
                self.seen.clear()
            self.seen.add(mark)
        elif SECRET.isdisjoint(name for name, _value in scope["headers"]):
            if len(self.known) >= KNOWN:
                self.known.clear()
            self.known[data] = _fresh(scope, {})


def _fresh(scope: Scope, state: dict[str, Any]) -> Scope:
    """Return a copy that an application may change."""
    scope = scope.copy()
    scope["asgi"] = ASGI.copy()
    scope["headers"] = scope["headers"].copy()
    scope["state"] = state.copy()
    return scope


def read(parser: Any, root_path: str, state: dict[str, Any]) -> Request | None:
    """Return an ordinary request; None for one that gunicorn has to look at: it knows what to do, or what is wrong.

    Raises gunicorn's InvalidHeader.
    """
    headers = parser.asgi_headers
    said = dict(headers)
    target, method = parser.path, parser.method
    version = VERSIONS.get(parser.http_version)
    asgi_framing.check(said, parser.http_version, target)
    if b"" in said:
        # The C parser passes such a line on with no name (gunicorn_h1c 0.6.9; RFC 9112, section 5.2).
        raise InvalidHeader("a header line is folded")
    if len(said) != len(headers) or not UNUSUAL.isdisjoint(said) or b"_" in b"".join(said):
        return None
    if version is None or method == b"CONNECT" or RFC9112_TARGET_INVALID.search(target):
        return None
    path, _, query = target.partition(b"?")
    client, scheme, server = guard.believed(said, "http")
    scope = {
        "type": "http",
        "asgi": ASGI.copy(),
        "http_version": version,
        "method": method.decode("ascii"),
        "scheme": scheme,
        "path": (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": root_path,
        "headers": headers,
        "server": server,
        "client": client,
        "state": state.copy(),
    }
    return Request(scope, parser.http_version, parser.content_length or 0, not parser.should_keep_alive)


def render(headers: Iterable[tuple[bytes, bytes]]) -> tuple[int | None, bytes]:
    """Return the Content-Length if there is one, and the other lines of a head. Raises WrongHeader."""
    length: int | None = None
    lines: list[bytes] = []
    for given, said in headers:
        plain = type(given) is bytes and type(said) is bytes
        name, value = (given, said) if plain else (_as_bytes(given), _as_bytes(said))
        meaning = MEANINGS.get(name)
        if meaning is None:
            meaning = _learn(name)
        if len(value.translate(None, BREAKS)) != len(value):
            raise WrongHeader(f"the header {name.decode()} has a control character or a line break")
        if meaning == PLAIN or (meaning == COOKIE and not guard.is_stoas(value.decode("latin-1"))):
            lines += (name, b": ", value, b"\r\n")
        elif meaning == LENGTH:
            length = _length(value, length)
    return length, b"".join(lines)


def _length(value: bytes, before: int | None) -> int:
    if value.isdigit() and len(value) < 19:
        length = int(value)
        if before is None or before == length:
            return length
    raise WrongHeader(f"the Content-Length {value[:100]!r} is not one number")


def _as_bytes(text: Any) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else bytes(text)


def _learn(name: bytes) -> int:
    if not TOKEN.fullmatch(name.decode("latin-1")):
        raise WrongHeader(f"the name of the header {name[:100]!r} would split the response: it is not a token")
    meaning = _meaning(name.lower())
    if len(MEANINGS) < CACHED:
        MEANINGS[name] = meaning
    return meaning


def _meaning(lower: bytes) -> int:
    if lower in SERVERS_OWN or guard.steers(lower.decode()):
        return LEFT_OUT
    return {b"content-length": LENGTH, b"set-cookie": COOKIE}.get(lower, PLAIN)
