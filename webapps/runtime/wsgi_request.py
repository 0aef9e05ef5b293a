"""The head of a request: parsed strictly (RFC 9112) into the environ that PEP 3333 asks for.

Only the front connects, and it has checked all this; nothing is believed for that reason. What is common is
looked up: names, methods and hosts are checked once. Runs inside the application's process.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from . import guard
from .wsgi_connection import Connection

Environ = dict[str, Any]

# The front's own limits are 16 kB for a line and 128 kB for all lines of the client's (front_http).
LONGEST_LINE, LONGEST_HEAD, MOST_FIELDS = 32 << 10, 256 << 10, 1000
CHUNKED = -1
# Not HTAB, which a value may have, nor CR and LF, which are counted.
CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])
FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
VERSION = re.compile(r"HTTP/[0-9]\.[0-9]")
HOST = re.compile(r"(?P<name>[A-Za-z0-9._~!$&'()*+;=%-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{0,5}))?")
LENGTH = re.compile(r"[0-9]{1,18}")
ONCE = ("HTTP_HOST", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING")
# Caches, bounded because clients choose what is in them.
CACHED = 512
KNOWN, LONGEST_BLOCK = 64, 2048
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
KEYS: dict[str, str] = {}
LINES: dict[str, tuple[str, str]] = {}
# Whole lines that come again and again; never what is somebody's own (Cookie, Authorization).
COMMON = {
    *("HTTP_HOST", "HTTP_USER_AGENT", "HTTP_CONNECTION", "HTTP_CACHE_CONTROL", "HTTP_ORIGIN"),
    *("HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT_LANGUAGE", "HTTP_UPGRADE_INSECURE_REQUESTS"),
    *("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT"),
    *("HTTP_X_REAL_IP", "HTTP_SEC_FETCH_SITE", "HTTP_SEC_FETCH_MODE", "HTTP_SEC_FETCH_DEST", "HTTP_X_REQUESTED_WITH"),
}
LONGEST_CACHED = 256
HOSTS: dict[str, tuple[str, str]] = {}


class Refused(Exception):
    """A request that is not answered by the application: the status, and why in words."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Request:
    """A request whose head has been read.

    ``length`` is that of its body in bytes, or CHUNKED; ``closing`` says that it is the connection's last;
    ``expects`` that its body waits for "100 Continue".
    """

    __slots__ = ("closing", "environ", "expects", "head_only", "length", "modern")

    def __init__(self, environ: Environ, modern: bool) -> None:
        self.environ = environ
        self.modern = modern
        self.closing = not modern
        self.head_only = environ["REQUEST_METHOD"] == "HEAD"
        self.expects = False
        self.length = 0


class Heads:
    """Read heads for one application: ``base`` is what all its environs share, ``mount`` its name.

    The headers of a client are often the same, byte for byte, from request to request. What has been checked and
    understood once is kept, in bounds, unless it holds somebody's secrets or is about a body.
    """

    def __init__(self, base: Environ, mount: str) -> None:
        self.base = base
        self.mount = mount
        self.known: dict[bytes, Environ] = {}
        self.lines: dict[bytes, Environ] = {}
        self.seen: set[int] = set()

    def read(self, connection: Connection) -> Request:
        """Read the next request's head, of which the beginning is there. Raises Refused, ClientGone."""
        data = connection.rest
        end = data.find(b"\r\n\r\n")
        while end < 0:
            _check_size(data)
            data += connection.more()
            end = data.find(b"\r\n\r\n")
        connection.rest = data[end + 4 :]
        return self.parse(data[:end])

    def parse(self, head: bytes) -> Request:
        """Make a request of a head without its last two CRLF. Raises Refused."""
        first, _, block = head.partition(b"\r\n")
        line = self.lines.get(first)
        if line is None:
            line = self._read_first(first)
        known = self.known.get(block)
        environ = (self.base if known is None else known) | line
        request = Request(environ, environ["SERVER_PROTOCOL"] == "HTTP/1.1")
        if known is None:
            self._read_block(request, block)
        return request

    def _read_first(self, first: bytes) -> Environ:
        """Understand the request line, and keep it unless it has a query, which may be somebody's secret."""
        line: Environ = {}
        _read_request_line(first.decode("latin-1"), line)
        if not guard.place(line, self.mount):
            raise Refused(400, "the path does not begin with the application's name")
        if b"?" not in first and len(first) <= LONGEST_CACHED:
            if len(self.lines) >= CACHED:
                self.lines.clear()
            self.lines[first] = line
        return line

    def _read_block(self, request: Request, block: bytes) -> None:
        environ = request.environ
        _read_lines(block, environ)
        _read_host(request)
        ordinary = True
        for key, read in EXTRAORDINARY.items():
            if key in environ:
                ordinary = False
                read(request)
        guard.believe_the_front(environ)
        if ordinary and request.modern and len(block) <= LONGEST_BLOCK:
            self._remember(block, environ)

    def _remember(self, block: bytes, environ: Environ) -> None:
        """Keep what came a second time."""
        mark = hash(block)
        if mark in self.seen:
            if len(self.known) >= KNOWN:
                self.known.clear()
            self.known[block] = environ.copy()
        else:
            if len(self.seen) >= CACHED:
                self.seen.clear()
            self.seen.add(mark)


def _check_size(data: bytes) -> None:
    if b"\r\n" not in data[: LONGEST_LINE + 2] and len(data) > LONGEST_LINE:
        raise Refused(414, "the request line is too long")
    if len(data) > LONGEST_HEAD:
        raise Refused(431, "the head is too long")


def _read_lines(block: bytes, environ: Environ) -> None:
    """Put all headers into the environ."""
    lines = block.decode("latin-1").split("\r\n") if block else []
    if len(lines) > MOST_FIELDS or len(block) > LONGEST_HEAD:
        raise Refused(431, "the head has too many lines" if len(lines) > MOST_FIELDS else "the head is too long")
    # One count for all lines instead of a look at each.
    breaks = max(0, len(lines) - 1)
    if block.count(b"\n") != breaks or block.count(b"\r") != breaks:
        raise Refused(400, "a line ends in a bare CR or LF")
    if len(block.translate(None, CONTROLS)) != len(block):
        raise Refused(400, "a control character is in the head")
    for line in lines:
        key, value = LINES.get(line) or _read_line(line)
        if key in environ:
            _repeat(environ, key, value)
        else:
            environ[key] = value
    environ.pop("", None)


def _read_line(line: str) -> tuple[str, str]:
    """Return the environ's key and the value of a header."""
    name, colon, value = line.partition(":")
    key = KEYS.get(name)
    if key is None:
        key = _learn(name)
    if not colon:
        raise Refused(400, "a header line has no colon")
    found = (key, value.strip(" \t"))
    if key in COMMON and len(line) <= LONGEST_CACHED:
        if len(LINES) >= CACHED:
            LINES.clear()
        LINES[line] = found
    return found


def _read_request_line(line: str, environ: Environ) -> None:
    """Take method, path, query and version."""
    if not line.isascii():
        raise Refused(400, "a letter in the request line is not percent-encoded")
    if not line.isprintable() and FORBIDDEN.search(line):
        raise Refused(400, "a control character is in the request line")
    if len(line) > LONGEST_LINE:
        raise Refused(414, "the request line is too long")
    try:
        method, target, version = line.split(" ")
    except ValueError:
        raise Refused(400, "the request line does not have three parts") from None
    if version != "HTTP/1.1" and version != "HTTP/1.0":
        known = VERSION.fullmatch(version)
        raise Refused(505 if known else 400, "the version is not HTTP/1.1 or HTTP/1.0")
    if method not in METHODS and not TOKEN.fullmatch(method):
        raise Refused(400, "the method is not a token")
    if target[:1] != "/":
        raise Refused(400, "the request target is not a path")
    path, _, query = target.partition("?")
    environ["REQUEST_METHOD"] = method
    environ["REQUEST_URI"] = environ["RAW_URI"] = target
    environ["SERVER_PROTOCOL"] = version
    environ["PATH_INFO"] = unquote(path, "latin-1") if "%" in path else path
    environ["QUERY_STRING"] = query


def _learn(name: str) -> str:
    """Return the environ's key of a header's name, "" for one to leave out."""
    if not TOKEN.fullmatch(name):
        raise Refused(400, "the name of a header is not a token")
    key = "HTTP_" + name.upper().replace("-", "_")
    if "_" in name:
        key = ""  # X_Forwarded_For would be taken for X-Forwarded-For.
    elif key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"):
        key = key[5:]
    if len(KEYS) < CACHED:
        KEYS[name] = key
    return key


def _repeat(environ: Environ, key: str, value: str) -> None:
    if key in ONCE:
        raise Refused(400, f"{key} is said twice")
    if key:
        environ[key] += ("; " if key == "HTTP_COOKIE" else ", ") + value


def _read_host(request: Request) -> None:
    host = request.environ.get("HTTP_HOST")
    if host is None:
        if request.modern:
            raise Refused(400, "there is no Host")
        return
    found = HOSTS.get(host)
    if found is None:
        found = _learn_host(host)
    request.environ["SERVER_NAME"], request.environ["SERVER_PORT"] = found


def _learn_host(host: str) -> tuple[str, str]:
    match = HOST.fullmatch(host)
    if not match:
        raise Refused(400, "the Host is malformed")
    found = (match["name"] or "localhost", match["port"] or "80")
    if len(HOSTS) < CACHED:
        HOSTS[host] = found
    return found


def _read_connection(request: Request) -> None:
    tokens = request.environ["HTTP_CONNECTION"].lower().replace(" ", "").split(",")
    request.closing = request.closing or "close" in tokens


def _read_length(request: Request) -> None:
    """Find out where the body ends (RFC 9112, section 6.3)."""
    length = request.environ["CONTENT_LENGTH"]
    if not LENGTH.fullmatch(length):
        raise Refused(400, "the Content-Length is not a number")
    request.length = int(length)


def _read_coding(request: Request) -> None:
    if "CONTENT_LENGTH" in request.environ or not request.modern:
        raise Refused(400, "Transfer-Encoding stands beside Content-Length or in HTTP/1.0")
    if request.environ["HTTP_TRANSFER_ENCODING"].lower() != "chunked":
        raise Refused(501, "the transfer coding is not chunked")
    request.length = CHUNKED


def _read_expectation(request: Request) -> None:
    if request.environ["HTTP_EXPECT"].lower() != "100-continue":
        raise Refused(417, "only 100-continue can be expected")
    request.expects = request.modern and request.length != 0


def _is_private(_request: Request) -> None:
    """Do nothing but keep a head from being kept."""


# What a request with one of these needs besides; the last is about the length that the others find.
EXTRAORDINARY: dict[str, Callable[[Request], None]] = {
    "HTTP_COOKIE": _is_private,
    "HTTP_AUTHORIZATION": _is_private,
    "HTTP_CONNECTION": _read_connection,
    "CONTENT_LENGTH": _read_length,
    "HTTP_TRANSFER_ENCODING": _read_coding,
    "HTTP_EXPECT": _read_expectation,
}
