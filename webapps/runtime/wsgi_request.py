"""The head of a request: parsed strictly (RFC 9112) into the environ that PEP 3333 asks for.

Only the front connects, and it has checked all this; nothing is believed for that reason. What is common is
looked up: names, methods and hosts are checked once. Runs inside the application's process.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

from . import guard
from .wsgi_connection import GULP, Connection

Environ = dict[str, Any]

# The front's own limits are 16 kB for a line and 128 kB for all lines of the client's (front_http).
LONGEST_LINE, LONGEST_HEAD, MOST_FIELDS = 32 << 10, 256 << 10, 1000
CHUNKED = -1
# Not HTAB, which a value may have, nor CR and LF, which are counted.
CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
VERSION = re.compile(r"HTTP/[0-9]\.[0-9]")
HOST = re.compile(r"(?P<name>[A-Za-z0-9._~!$&'()*+;=%-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{0,5}))?")
LENGTH = re.compile(r"[0-9]{1,18}")
ONCE = ("HTTP_HOST", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING")
# Caches, bounded because clients choose what is in them.
CACHED = 512
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
KEYS: dict[str, str] = {}
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


def read_request(connection: Connection, base: Environ, mount: str) -> Request | None:
    """Read the next request's head, or None where the front has closed. Raises Refused, ClientGone."""
    try:
        data = connection.rest or connection.recv(GULP)
    except OSError:
        data = b""
    if not data:
        connection.gone = True
        return None
    end = data.find(b"\r\n\r\n")
    while end < 0:
        _check_size(data)
        data += connection.more()
        end = data.find(b"\r\n\r\n")
    connection.rest = data[end + 4 :]
    request = parse(data[:end], base)
    if not guard.place(request.environ, mount):
        raise Refused(400, "the path does not begin with the application's name")
    return request


def _check_size(data: bytes) -> None:
    if b"\r\n" not in data[: LONGEST_LINE + 2] and len(data) > LONGEST_LINE:
        raise Refused(414, "the request line is too long")
    if len(data) > LONGEST_HEAD:
        raise Refused(431, "the head is too long")


def parse(head: bytes, base: Environ) -> Request:
    """Make a request of a head without its last two CRLF. Raises Refused."""
    text = head.decode("latin-1")
    lines = text.split("\r\n")
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks:
        raise Refused(400, "a line ends in a bare CR or LF")
    if len(head.translate(None, CONTROLS)) != len(head):
        raise Refused(400, "a control character is in the head")
    if breaks > MOST_FIELDS or len(head) > LONGEST_HEAD:
        raise Refused(431, "the head has too many lines" if breaks > MOST_FIELDS else "the head is too long")
    environ = base.copy()
    request = Request(environ, _read_request_line(lines.pop(0), environ))
    for line in lines:
        name, colon, value = line.partition(":")
        key = KEYS.get(name)
        if key is None:
            key = _learn(name)
        if not colon:
            raise Refused(400, "a header line has no colon")
        if key in environ:
            _repeat(environ, key, value.strip(" \t"))
        else:
            environ[key] = value.strip(" \t")
    environ.pop("", None)
    _read_host(request)
    if "HTTP_CONNECTION" in environ:
        tokens = environ["HTTP_CONNECTION"].lower().replace(" ", "").split(",")
        request.closing = request.closing or "close" in tokens
    _read_framing(request)
    return request


def _read_request_line(line: str, environ: Environ) -> bool:
    """Take method, path and query; say whether it is HTTP/1.1."""
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
    if target[:1] != "/" or "\t" in target:
        raise Refused(400, "the request target is not a path")
    path, _, query = target.partition("?")
    environ["REQUEST_METHOD"] = method
    environ["REQUEST_URI"] = environ["RAW_URI"] = target
    environ["SERVER_PROTOCOL"] = version
    environ["PATH_INFO"] = unquote(path, "latin-1") if "%" in path else path
    environ["QUERY_STRING"] = query
    return version == "HTTP/1.1"


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


def _read_framing(request: Request) -> None:
    """Find out where the body ends (RFC 9112, section 6.3)."""
    environ = request.environ
    length, coding = environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING")
    if coding is not None:
        if length is not None or not request.modern:
            raise Refused(400, "Transfer-Encoding stands beside Content-Length or in HTTP/1.0")
        if coding.lower() != "chunked":
            raise Refused(501, "the transfer coding is not chunked")
        request.length = CHUNKED
    elif length is not None:
        if not LENGTH.fullmatch(length):
            raise Refused(400, "the Content-Length is not a number")
        request.length = int(length)
    if "HTTP_EXPECT" in environ:
        _read_expectation(request)


def _read_expectation(request: Request) -> None:
    if request.environ["HTTP_EXPECT"].lower() != "100-continue":
        raise Refused(417, "only 100-continue can be expected")
    request.expects = request.modern and request.length != 0
