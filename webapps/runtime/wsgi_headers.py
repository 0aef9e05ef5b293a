"""What an application says in front of a response: checked (PEP 3333, RFC 9110), as bytes.

Names and statuses are checked once each and looked up afterwards. Runs inside the application's process.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from . import guard
from .readiness import say
from .wsgi_request import CACHED, CONTROLS, TOKEN

STATUS = re.compile(r"([2-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
# What a name means here; PLAIN is the commonest, and what is COMMON is worth keeping as it was checked.
PLAIN, COMMON, LENGTH, COOKIE, LEFT_OUT, WISH, REFUSED = range(7)
# They are about one connection, which is the server's matter (PEP 3333, "Other HTTP Features"). A wish for this
# connection, which servers for development take, does no harm and is not passed on.
HOP_BY_HOP = {"proxy-authenticate", "proxy-authorization", "te", "trailer", "trailers", "transfer-encoding", "upgrade"}
WISHES = {"connection", "keep-alive"}
COMMON_NAMES = {
    *("content-type", "cache-control", "vary", "content-language", "content-encoding", "accept-ranges", "allow"),
    *("x-content-type-options", "x-frame-options", "referrer-policy", "cross-origin-opener-policy", "pragma"),
    *("access-control-allow-origin", "access-control-allow-credentials", "x-powered-by", "server", "expires"),
}
LONGEST_CACHED = 256
MEANINGS: dict[str, int] = {}
LINES: dict[tuple[str, str], bytes] = {}
STATUSES: dict[str, tuple[int, bytes]] = {}
LENGTHS: dict[str, int] = {}
# Kinds of answers that were found to be iterable.
ITERABLE: set[type] = set()
_said: set[str] = set()


class WrongHeader(ValueError):
    """A status or a header that PEP 3333 does not let an application send."""


def render(status: str, headers: Iterable[tuple[str, str]], ours: bool = False) -> tuple[int, int | None, bytes]:
    """Return the status, the Content-Length if there is one, and the head so far. Raises WrongHeader.

    ``ours`` says that a part of Stoa answers, which may set Stoa's cookies.
    """
    code, first = STATUSES.get(status) or _learn_status(status)
    length: int | None = None
    lines = [first]
    for header in headers:
        try:
            line = LINES.get(header)
        except TypeError:
            line = None  # A list instead of a tuple, say.
        if line is not None:
            lines.append(line)
            continue
        name, value = header
        meaning = MEANINGS.get(name)
        if meaning is None:
            meaning = _learn(name)
        if not isinstance(value, str):
            raise WrongHeader(f"the header {name} has a value of type {type(value).__name__}: it must be str")
        if meaning == LENGTH:
            known = LENGTHS.get(value) if length is None else None
            length = _length(value, length) if known is None else known
        elif meaning <= COMMON or (meaning == COOKIE and (ours or not guard.is_stoas(value))):
            lines.append(_line(name, value, meaning))
        elif meaning == REFUSED:
            raise WrongHeader(f"the header {name} is about one connection, which is the server's matter")
        elif meaning == WISH:
            _say_once(f"the header {name} is the server's matter and is left out")
    return code, length, b"".join(lines)


def _line(name: str, value: str, meaning: int) -> bytes:
    """Return a line of the head. Raises WrongHeader where it would be more, or less, than one."""
    try:
        data = value.encode("latin-1")
    except UnicodeEncodeError:
        raise WrongHeader(f"the header {name} has a character that HTTP cannot carry (latin-1): encode it") from None
    if b"\r" in data or b"\n" in data:
        raise WrongHeader(f"the header {name} would split the response: a line break is in it")
    if len(data.translate(None, CONTROLS)) != len(data):
        raise WrongHeader(f"the header {name} has a control character")
    line = b"%b: %b\r\n" % (name.encode(), data)
    if meaning == COMMON and len(line) <= LONGEST_CACHED:
        if len(LINES) >= CACHED:
            LINES.clear()
        LINES[(name, value)] = line
    return line


def _length(value: str, before: int | None) -> int:
    if value.isascii() and value.isdecimal() and len(value) < 19:
        length = int(value)
        if before is None or before == length:
            if len(LENGTHS) >= CACHED:
                LENGTHS.clear()
            LENGTHS[value] = length
            return length
    raise WrongHeader(f"the Content-Length {value[:100]!r} is not one number")


def _learn_status(status: str) -> tuple[int, bytes]:
    if not isinstance(status, str):
        raise WrongHeader(f"the status is of type {type(status).__name__}: it must be str, like '200 OK'")
    match = STATUS.fullmatch(status)
    if not match:
        raise WrongHeader(f"the status {status[:100]!r} is not like '200 OK'")
    try:
        found = (int(match[1]), f"HTTP/1.1 {status}{'' if ' ' in status else ' '}\r\n".encode("latin-1"))
    except UnicodeEncodeError:
        raise WrongHeader(f"the status {status[:100]!r} has a character that HTTP cannot carry (latin-1)") from None
    if len(STATUSES) < CACHED:
        STATUSES[status] = found
    return found


def _learn(name: str) -> int:
    if not isinstance(name, str):
        raise WrongHeader(f"the name of a header is of type {type(name).__name__}: it must be str")
    if not TOKEN.fullmatch(name):
        raise WrongHeader(f"the name of the header {name[:100]!r} would split the response: it is not a token")
    meaning = _meaning(name.lower())
    if len(MEANINGS) < CACHED:
        MEANINGS[name] = meaning
    return meaning


def _meaning(lower: str) -> int:
    if guard.steers(lower):
        return LEFT_OUT
    if lower in HOP_BY_HOP:
        return REFUSED
    if lower in WISHES:
        return WISH
    if lower in COMMON_NAMES:
        return COMMON
    return {"content-length": LENGTH, "set-cookie": COOKIE}.get(lower, PLAIN)


def _say_once(words: str) -> None:
    if words not in _said:
        _said.add(words)
        say(words)


def as_bytes(part: Any) -> bytes:
    """Return a part of a response; raises TypeError, in words, where it is none."""
    if isinstance(part, bytes | bytearray | memoryview):
        return bytes(part)
    raise TypeError(
        f"{guard.NOT_BYTES}, and the application answered a part of type {type(part).__name__}"
        f"{': encode it' if isinstance(part, str) else ''}"
    )


def iterable(result: Any) -> Iterable[bytes]:
    """Return what the application answered; raises TypeError, in words, where it is no iterable of bytes."""
    if isinstance(result, str):
        raise TypeError(f"{guard.NOT_BYTES}, and the application answered str: encode it")
    if isinstance(result, bytes | bytearray):
        return (bytes(result),)
    if not hasattr(result, "__iter__") and not hasattr(result, "__getitem__"):
        raise TypeError(f"the application answered {type(result).__name__}: PEP 3333 requires an iterable of bytes")
    if len(ITERABLE) < CACHED:
        ITERABLE.add(type(result))
    return result  # type: ignore[no-any-return]
