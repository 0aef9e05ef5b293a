"""One ASGI request and its response (ASGI 3, "HTTP & WebSocket ASGI Message Format").

Runs inside the application's process.
"""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

from gunicorn.asgi.protocol import _get_cached_status_line

from . import guard
from .asgi_headers import render

UNBUFFERED = b": ".join(guard.UNBUFFERED_BYTES) + b"\r\n"
CHUNKS = b"Transfer-Encoding: chunked\r\n" + UNBUFFERED
CLOSE = b"Connection: close\r\n\r\n"
# Up to here a part of a body is copied behind what stands before it.
SMALL = 1 << 16


class WrongMessage(RuntimeError):
    """A message that the application may not send, or not now."""


class Exchange:
    """An application's call. ``keep`` says whether the connection may be used again, ``left`` that it already is."""

    __slots__ = (
        *("bodiless", "chunked", "complete", "cut", "head", "keep", "left", "protocol"),
        *("receiver", "remaining", "request", "scope", "started"),
    )

    def __init__(self, protocol: Any, request: Any, receiver: Any, scope: dict[str, Any]) -> None:
        self.protocol = protocol
        self.request = request
        self.receiver = receiver
        self.scope = scope
        self.head = b""
        self.remaining: int | None = None
        self.bodiless = self.chunked = self.complete = self.cut = self.keep = self.left = self.started = False

    async def run(self) -> None:
        """Call the application, count that, and see to it that something is answered."""
        protocol = self.protocol
        gauge = protocol.worker.gauge
        gauge.begin()
        try:
            await protocol.app(self.scope, self.receiver.receive, self.send)
            if not self.complete:
                self._fall_short()
        except CancelledError:
            self.keep = False  # The client has gone.
        except (Exception, SystemExit):  # Who calls sys.exit() ends his request, not those of others.
            if not protocol._closed:  # Who finds out that nobody listens any more may say so as he likes.
                protocol.log.exception("Error in ASGI application")
            self._make_up()
        finally:
            gauge.end()
            protocol.ended(self)

    async def send(self, message: dict[str, Any]) -> None:
        """Take a message of the application's. Raises WrongMessage, WrongHeader."""
        protocol = self.protocol
        if protocol._closed:
            return  # Nobody listens any more; the application may finish what it does.
        kind = message["type"]
        if kind == "http.response.body":
            self._take(message)
            if protocol._flow_control.write_paused and not self.complete:
                await protocol._flow_control.drain()
        elif kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.informational":
            self._inform(message)
        else:
            raise WrongMessage(f"a message of type {kind!r} does not belong here")

    def _start(self, message: dict[str, Any]) -> None:
        """Hold the head back for the first part of the body. Date and Server are said by the front."""
        if self.started:
            raise WrongMessage("the response was started twice")
        status = message["status"]
        length, lines = render(message.get("headers") or ())
        self.started = True
        self.receiver.expect_continue = False  # RFC 9110, section 10.1.1.
        self.bodiless = status in (204, 304) or self.request.method == "HEAD" or 100 <= status < 200
        first = _get_cached_status_line(self.request.version, status)
        self.head = b"".join((first, lines, *self._framing(status, length)))

    def _framing(self, status: int, length: int | None) -> tuple[bytes, bytes]:
        """Return the lines that say where the body ends, and what ends the head (replacement.md, section 2)."""
        closing = self.protocol.will_close(self.request)
        if self.bodiless:
            framing = b"" if length is None or status == 204 or status < 200 else b"Content-Length: %d\r\n" % length
        elif length is not None:
            framing = b"Content-Length: %d\r\n" % length
            self.remaining = length
        elif self.request.version >= (1, 1):
            framing, self.chunked = CHUNKS, True
        else:
            framing, closing = UNBUFFERED, True
        self.keep = not closing
        return framing, CLOSE if closing else b"\r\n"

    def _take(self, message: dict[str, Any]) -> None:
        if not self.started or self.complete:
            raise WrongMessage(f"the response {'is complete' if self.complete else 'was not started'}")
        body = message.get("body", b"")
        if type(body) is not bytes:
            body = bytes(body)  # The application may use its bytearray again.
        if body and (self.bodiless or self.remaining is not None):
            body = self._fitted(body)
        more = message.get("more_body", False)
        if self.chunked:
            self._write_chunk(body, more)
        elif body or self.head:
            self._write(body)
        if not more:
            self._end()

    def _fitted(self, body: bytes) -> bytes:
        """Return as much as the length that was said allows: more would be taken for the next response."""
        room = 0 if self.bodiless or self.remaining is None else self.remaining
        if len(body) > room and self.request.method != "HEAD" and not self.cut:
            self.cut = True
            self.protocol.log.warning("%s: the application sent more than its response may have", self.scope["path"])
        body = body[:room]
        if self.remaining is not None:
            self.remaining -= len(body)
        return body

    def _write_chunk(self, body: bytes, more: bool) -> None:
        end = b"" if more else b"0\r\n\r\n"
        if body:
            self.head += b"%x\r\n" % len(body)
            end = b"\r\n" + end
        if body or end or self.head:
            self._write(body, end)

    def _write(self, body: bytes, end: bytes = b"") -> None:
        head, self.head = self.head, b""
        if len(body) < SMALL:
            self.protocol._safe_write(head + body + end)
        else:
            for part in (head, body, end):
                if part:
                    self.protocol._safe_write(part)

    def _end(self) -> None:
        self.complete = True
        if self.remaining:
            self.keep = False  # The client waits for what does not come.
            self.protocol.log.warning(
                "%s: the application sent %d bytes less than its Content-Length", self.scope["path"], self.remaining
            )
        self.protocol.answered(self)

    def _inform(self, message: dict[str, Any]) -> None:
        """Send a response before the response, 103 Early Hints, say."""
        if self.started:
            raise WrongMessage("an informational response comes before the response")
        _length, lines = render(message.get("headers") or ())
        if self.request.version >= (1, 1):
            first = _get_cached_status_line(self.request.version, message["status"])
            self.protocol._safe_write(first + lines + b"\r\n")
        if message["status"] == 100:
            self.receiver.expect_continue = False

    def _fall_short(self) -> None:
        """Answer for an application that has returned too early; a response that has no body is whole without one."""
        if not self.protocol._closed:
            self.protocol.log.error("the ASGI application returned without completing its response")
        if self.head and self.bodiless:
            self._write(b"")
            self._end()
        else:
            self._make_up("the application returned without a body for its response\n")

    def _make_up(self, why: str = "Internal Server Error") -> None:
        """Answer 500 where nothing was sent, or cut off what has begun. A response that is complete stays so."""
        if not self.complete:
            self.keep = False
        if not self.complete and (self.head or not self.started) and not self.protocol._closed:
            self.head, self.started = b"", True
            self.protocol._send_error_response(500, why if self.request.method != "HEAD" else "")
