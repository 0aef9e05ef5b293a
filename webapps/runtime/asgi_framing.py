"""Where a request ends and whose it is, as strict as the WSGI worker is (RFC 9112): gunicorn's parsers let more pass.

The C parser counts in 64 bits and takes what is longer for something short; neither parser looks at Host or at
trailers. Runs inside the application's process.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from gunicorn.asgi.parser import (
    RFC9110_6_5_1_FORBIDDEN_TRAILER as FORBIDDEN,
)
from gunicorn.asgi.parser import (
    InvalidChunkSize,
    InvalidHeader,
    InvalidRequestLine,
    LimitRequestHeaders,
    UnsupportedTransferCoding,
)

from .wsgi_input import CHUNK_SIZE, LONGEST_LINE, TRAILERS
from .wsgi_request import HOST, LENGTH

TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}):[^\x00-\x08\x0a-\x1f\x7f]*")


def check(said: Mapping[bytes, bytes], version: tuple[int, int], target: bytes) -> None:
    """Look at what the parsers leave out. Raises gunicorn's ParseError."""
    host, length, coding = said.get(b"host"), said.get(b"content-length"), said.get(b"transfer-encoding")
    if host is None:
        if version >= (1, 1):
            raise InvalidHeader("there is no Host")
    elif not _is_host(host):
        raise InvalidHeader("the Host is malformed")
    if length is not None and not LENGTH.fullmatch(length.decode("latin-1")):
        raise InvalidHeader("the Content-Length is not a number")
    if coding is not None and coding.lower() != b"chunked":
        raise UnsupportedTransferCoding("the transfer coding is not chunked")
    if target[:1] != b"/":
        raise InvalidRequestLine("the request target is not a path")


@functools.lru_cache(maxsize=512)
def _is_host(host: bytes) -> bool:
    return bool(HOST.fullmatch(host.decode("latin-1")))


class Chunks:
    """A body in chunks (RFC 9112, section 7.1), in whatever pieces it comes; trailers are read and left out.

    ``rest`` is what has come and belongs to nothing yet; once the body has ``ended``, what stands behind it.
    """

    def __init__(self) -> None:
        self.rest = b""
        self.left = 0
        self.trailers = 0
        self.ended = False
        self._line = self._begin

    def feed(self, data: bytes) -> list[bytes]:
        """Return the parts of the body that ``data`` brings. Raises gunicorn's ParseError."""
        data, at, parts = self.rest + data, 0, []
        while at < len(data) and not self.ended:
            if self.left:
                part = data[at : at + self.left]
                self.left -= len(part)
                at += len(part)
                parts.append(part)
            else:
                end = data.find(b"\n", at)
                if end < 0:
                    break
                self._line(_whole(data[at : end + 1]))
                at = end + 1
        self.rest = data[at:]
        if not self.ended and len(self.rest) > LONGEST_LINE:
            raise InvalidChunkSize("a line of a chunked body is too long")
        return parts

    def _begin(self, line: bytes) -> None:
        if not CHUNK_SIZE.fullmatch(line):
            raise InvalidChunkSize("a chunk does not begin with its size")
        self.left = int(line.partition(b";")[0], 16)
        self._line = self._finish if self.left else self._trail

    def _finish(self, line: bytes) -> None:
        if line:
            raise InvalidChunkSize("a chunk is longer than it said")
        self._line = self._begin

    def _trail(self, line: bytes) -> None:
        self.trailers += 1
        found = TRAILER.fullmatch(line)
        if not line:
            self.ended = True
        elif not found or found[1].lower() in FORBIDDEN:
            raise InvalidHeader("a trailer is malformed")
        elif self.trailers > TRAILERS:
            raise LimitRequestHeaders("there are too many trailers")


def _whole(line: bytes) -> bytes:
    if line[-2:] != b"\r\n":
        raise InvalidChunkSize("a line ends in a bare LF")
    return line[:-2]
