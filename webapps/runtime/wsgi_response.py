"""One exchange: call the application, send what it answers (PEP 3333), decide whether the connection stays.

Runs inside the application's process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, Protocol

from . import guard
from .wsgi_connection import ClientGone, Connection
from .wsgi_file import FileWrapper
from .wsgi_headers import ITERABLE, as_bytes, iterable, render
from .wsgi_input import open_body
from .wsgi_request import Refused, Request

Write = Callable[[bytes], None]

UNBUFFERED = f"{guard.UNBUFFERED[0]}: {guard.UNBUFFERED[1]}\r\n".encode()
CHUNKS = b"Transfer-Encoding: chunked\r\n" + UNBUFFERED
CLOSE = b"Connection: close\r\n\r\n"
# Up to here a body is copied behind its head and goes out with it; a file, from here on, is sent by the kernel.
SMALL = 1 << 16
PHRASES = {
    400: "Bad Request",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}


class WrongLength(ValueError):
    """A body that is shorter than its Content-Length."""


class House(Protocol):
    """What exchanges of one worker share: whether it is leaving, the application, and where it says what is wrong."""

    draining: bool
    ours: bool
    wsgi: Callable[..., Any]
    log: Any


def plain_answer(status: int) -> bytes:
    """Return a small answer of the server's own, as far as the line that may close the connection."""
    phrase = PHRASES[status]
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain\r\nContent-Length: {len(phrase) + 1}\r\n".encode()


class Exchange:
    """A request and its response. ``kept`` says in the end whether the connection may be used again."""

    __slots__ = (
        *("bodiless", "body", "chunked", "connection", "cut", "done", "head", "house"),
        *("kept", "left", "length", "opened", "request"),
    )

    def __init__(self, connection: Connection, request: Request, house: House) -> None:
        self.connection = connection
        self.request = request
        self.house = house
        self.body = None
        if request.length:
            self.body = open_body(request, connection)
        else:  # Most have none.
            request.environ["wsgi.input"] = BytesIO()
        self.head = b""
        self.length: int | None = None
        self.left: int | None = None
        self.bodiless = request.head_only
        self.chunked = self.cut = self.opened = self.done = self.kept = False

    def run(self) -> bool:
        """Answer; say whether the connection may be used again."""
        try:
            self._answer()
        except ClientGone:
            return False
        except Refused as refused:
            self._refuse(refused)
            return False
        except BaseException:
            self.house.log.exception("Error handling request %s", self._name())
            self._fail()
        if self.kept and self.body is not None:
            try:
                return self.body.drain()
            except (ClientGone, Refused):
                return False
        return self.kept and not self.connection.gone

    def _answer(self) -> None:
        result: Any = None
        try:
            result = self.house.wsgi(self.request.environ, self.start_response)
            kind = type(result)
            if kind is list or kind is tuple:
                self._send_whole(result)
            elif kind is FileWrapper:
                self._send_file(result)
            else:
                self._stream(result if kind in ITERABLE else iterable(result))
        finally:
            if hasattr(result, "close"):
                result.close()

    def start_response(self, status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None) -> Write:
        """Take status and headers, as PEP 3333 says. Raises WrongHeader."""
        if exc_info:
            try:
                if self.opened:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.head:
            raise AssertionError("start_response was called twice without exc_info")
        code, self.length, self.head = render(status, headers, self.house.ours)
        self.bodiless = self.request.head_only or code == 204 or code == 304
        if code == 204:
            self.length = None  # RFC 9110, section 8.6.
        return self._write

    def _write(self, data: bytes) -> None:
        part = as_bytes(data)
        if self.done:
            raise RuntimeError("write() was called after the response had ended")
        if part or not self.opened:
            self._send(part)

    # Bodies

    def _send_whole(self, parts: list[Any] | tuple[Any, ...]) -> None:
        for part in parts:
            if type(part) is not bytes:
                as_bytes(part)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if self.opened:
            self._send(bytes(body))
            self._end()
        else:
            self._send_at_once(bytes(body))

    def _send_at_once(self, body: bytes) -> None:
        """Send head and body together: their length is known."""
        if self.bodiless:
            head = self._open(self._said_length())
            body = b""
        else:
            if self.length is not None and self.length != len(body):
                body = self._fitted(body, self.length)
            head = self._open(b"Content-Length: %d\r\n" % len(body))
        if len(body) < SMALL:
            # What is left of a request's body is read after the answer, and nobody shall wait for that.
            (self.connection.finish if self.body is None else self.connection.send)(head + body)
        else:
            self.connection.stream(head)
            self.connection.stream(body)
        self.done = True

    def _stream(self, parts: Iterable[Any]) -> None:
        for part in parts:
            data = part if type(part) is bytes else as_bytes(part)
            if data:
                if len(data) == self.length and not self.opened:
                    self._send_at_once(data)
                    self.left = 0
                else:
                    self._send(data)
                if self.bodiless:
                    break  # Nobody wants to see the rest, which may have no end.
        self._end()

    def _send_file(self, file: FileWrapper) -> None:
        plain = None if self.opened or self.bodiless or not self.head else file.plain()
        if plain is None:
            self._stream(file)
            return
        descriptor, offset, size = plain
        count = size if self.length is None else self.length
        if count > size:
            raise WrongLength(f"the Content-Length is {count}, and the file has {size} bytes")
        if count < SMALL:
            self._send_at_once(file.filelike.read(count))
            return
        self.connection.stream(self._open(b"Content-Length: %d\r\n" % count))
        if self.connection.send_file(descriptor, offset, count):
            raise WrongLength("the file became shorter while it was sent")
        self.done = True

    def _send(self, part: bytes) -> None:
        """Send a part, behind the head if it is the first."""
        head = b"" if self.opened else self._open_stream()
        if self.bodiless:
            part = b""
        elif self.left is not None:
            if len(part) > self.left:
                part = self._fitted(part, self.left)
            self.left -= len(part)
        elif self.chunked and part:
            part = b"%x\r\n%b\r\n" % (len(part), part)
        if head or part:
            self.connection.stream(head + part)

    def _end(self) -> None:
        """Send what ends the body, and the head if nothing else has come."""
        if not self.opened:
            self._send_at_once(b"")
        elif self.left:
            raise WrongLength(f"the application sent {self.left} bytes less than its Content-Length")
        elif self.chunked:
            self.connection.stream(b"0\r\n\r\n")
        self.done = True

    def _fitted(self, body: bytes, length: int) -> bytes:
        if len(body) < length:
            raise WrongLength(f"the Content-Length is {length}, and the application answered {len(body)} bytes")
        if not self.cut:
            self.cut = True
            self.house.log.warning("%s: the application sent more than its Content-Length", self._name())
        return body[:length]

    # Heads

    def _said_length(self) -> bytes:
        return b"" if self.length is None else b"Content-Length: %d\r\n" % self.length

    def _open_stream(self) -> bytes:
        """Return the head of a body that comes in parts."""
        if self.length is not None or self.bodiless:
            self.left = None if self.bodiless else self.length
            return self._open(self._said_length())
        self.chunked = self.request.modern
        return self._open(CHUNKS if self.chunked else UNBUFFERED, ends_with_the_connection=not self.chunked)

    def _open(self, framing: bytes, *, ends_with_the_connection: bool = False) -> bytes:
        """Return the whole head. It is now that the connection's fate is decided (replacement.md, section 2)."""
        if not self.head:
            raise AssertionError("the application answered before it called start_response")
        self.opened = True
        closing = self.request.closing or ends_with_the_connection or self.house.draining
        body = self.body
        if body is not None and (body.broken or body.uninvited):
            closing = True
        self.kept = not closing
        return self.head + framing + (CLOSE if closing else b"\r\n")

    # What went wrong

    def _refuse(self, refused: Refused) -> None:
        """Say that the body is malformed, if anything can still be said."""
        self.house.log.warning("a request was refused: %s", refused)
        if not self.opened and not self.connection.gone:
            _try_to_send(
                self.connection, plain_answer(refused.status) + CLOSE + f"{PHRASES[refused.status]}\n".encode()
            )

    def _fail(self) -> None:
        """Answer 500, or cut off what has begun."""
        if self.opened:
            self.kept = self.kept and self.done
            return
        self.done = True
        body = b"" if self.request.head_only else b"Internal Server Error\n"
        self.head = plain_answer(500)
        if not _try_to_send(self.connection, self._open(b"") + body):
            self.kept = False

    def _name(self) -> str:
        environ = self.request.environ
        return f"{environ.get('REQUEST_METHOD')} {environ.get('RAW_URI')}"


def refuse(connection: Connection, refused: Refused, log: Any) -> None:
    """Answer a malformed request; the connection has to be closed then."""
    log.warning("a request was refused: %s", refused)
    _try_to_send(connection, plain_answer(refused.status) + CLOSE + f"{PHRASES[refused.status]}\n".encode())


def _try_to_send(connection: Connection, data: bytes) -> bool:
    try:
        connection.send(data)
    except ClientGone:
        return False
    return True
