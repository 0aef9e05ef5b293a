"""``wsgi.input``: the body of a request, read when the application asks, never past its end (PEP 3333).

Runs inside the application's process.
"""

from __future__ import annotations

import io
import re

from .wsgi_connection import Connection
from .wsgi_request import CHUNKED, CONTROLS, Refused, Request

CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
LONGEST_LINE = 4096
TRAILERS = 100
SCRATCH = 1 << 16
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Body(io.RawIOBase):
    """What has not been read of a body. io.BufferedReader makes lines of it."""

    def __init__(self, connection: Connection, invite: bool) -> None:
        self.connection: Connection | None = connection
        self.uninvited = invite
        self.left = 0
        self.broken = False

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the beginning of ``buffer``; 0 is the end. Raises ClientGone, Refused."""
        connection = self.connection
        if connection is None or self.broken:
            return 0
        if self.uninvited:
            self.uninvited = False
            if not connection.rest:
                connection.send(CONTINUE)
        try:
            return self._take(connection, memoryview(buffer).cast("B"))
        except BaseException:
            self.broken = True
            raise

    def _take(self, connection: Connection, view: memoryview) -> int:
        raise NotImplementedError

    def drain(self) -> bool:
        """Read what the application has left; say whether the next request may follow."""
        if self.broken or self.uninvited:
            return False
        scratch = bytearray(SCRATCH)
        while self.readinto(scratch):
            continue
        self.connection = None  # Somebody may keep the stream, and must not read the next request.
        return True


class SizedBody(_Body):
    """A body whose length was said."""

    def __init__(self, connection: Connection, invite: bool, length: int) -> None:
        super().__init__(connection, invite)
        self.left = length

    def _take(self, connection: Connection, view: memoryview) -> int:
        if not self.left:
            return 0
        count = connection.receive_into(view[: self.left])
        self.left -= count
        return count


class ChunkedBody(_Body):
    """A body in chunks (RFC 9112, section 7.1); trailers are read and left out."""

    ended = False

    def _take(self, connection: Connection, view: memoryview) -> int:
        if not self.left and not self.ended:
            self._begin_chunk(connection)
        if self.ended:
            return 0
        count = connection.receive_into(view[: self.left])
        self.left -= count
        if not self.left and connection.read_line(0) != b"":
            raise Refused(400, "a chunk is longer than it said")
        return count

    def _begin_chunk(self, connection: Connection) -> None:
        line = connection.read_line(LONGEST_LINE)
        if line is None or not CHUNK_SIZE.fullmatch(line):
            raise Refused(400, "a chunk does not begin with its size")
        self.left = int(line.partition(b";")[0], 16)
        if not self.left:
            self._skip_trailers(connection)
            self.ended = True

    def _skip_trailers(self, connection: Connection) -> None:
        for _ in range(TRAILERS):
            line = connection.read_line(LONGEST_LINE)
            if line == b"":
                return
            if not line or b":" not in line or line.translate(None, CONTROLS + b"\r\n") != line:
                raise Refused(400, "a trailer is malformed")
        raise Refused(431, "there are too many trailers")


def open_body(request: Request, connection: Connection) -> _Body | None:
    """Put the body into the environ, ``wsgi.input``; return it where some of it may have to be read later."""
    length, rest = request.length, connection.rest
    if 0 < length <= len(rest):
        # All of it is here already: most requests have no body or a small one.
        connection.rest = rest[length:]
        request.environ["wsgi.input"] = io.BytesIO(rest[:length])
        return None
    body = (
        ChunkedBody(connection, request.expects)
        if length == CHUNKED
        else SizedBody(connection, request.expects, length)
    )
    request.environ["wsgi.input"] = io.BufferedReader(body, SCRATCH)
    return body
