"""What an application says in front of a response: checked (PEP 3333, RFC 9110), as bytes.

Names and statuses are checked once each and looked up afterwards. Runs inside the application's process.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from . import guard
from .wsgi_request import CACHED, CONTROLS, TOKEN

BAD = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
STATUS = re.compile(r"([2-9][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
# What a name means here; PLAIN is the commonest.
PLAIN, LENGTH, COOKIE, LEFT_OUT, WISH, REFUSED = range(6)
# They are about one connection, which is the server's matter (PEP 3333, "Other HTTP Features"). A wish for this
# connection, which servers for development take, does no harm and is not passed on.
HOP_BY_HOP = {"proxy-authenticate", "proxy-authorization", "te", "trailer", "trailers", "transfer-encoding", "upgrade"}
WISHES = {"connection", "keep-alive"}
MEANINGS: dict[str, int] = {}
STATUSES: dict[str, tuple[int, str]] = {}
_said: set[str] = set()


class WrongHeader(ValueError):
    """A status or a header that PEP 3333 does not let an application send."""


def render(status: str, headers: Iterable[tuple[str, str]]) -> tuple[int, int | None, bytes]:
    """Return the status, the Content-Length if there is one, and the head so far. Raises WrongHeader."""
    code, text = STATUSES.get(status) or _learn_status(status)
    length: int | None = None
    lines = [text]
    for name, value in headers:
        meaning = MEANINGS.get(name)
        if meaning is None:
            meaning = _learn(name)
        if not isinstance(value, str):
            raise WrongHeader(f"the header {name} has a value of type {type(value).__name__}: it must be str")
        if meaning == PLAIN:
            lines.append(f"{name}: {value}\r\n")
        elif meaning == LENGTH:
            length = _length(value, length)
        elif meaning == COOKIE:
            if not guard.is_stoas(value):
                lines.append(f"{name}: {value}\r\n")
        elif meaning == REFUSED:
            raise WrongHeader(f"the header {name} is about one connection, which is the server's matter")
        elif meaning == WISH:
            _say_once(f"the header {name} is the server's matter and is left out")
    return code, length, _joined(lines)


def _joined(lines: list[str]) -> bytes:
    text = "".join(lines)
    try:
        head = text.encode("latin-1")
    except UnicodeEncodeError:
        _blame(lines, "has a character that HTTP cannot carry (latin-1): encode it first")
    # One count for all lines instead of a look at each.
    if head.count(b"\r") != len(lines) or head.count(b"\n") != len(lines):
        _blame(lines, "would split the response: a line break is in it")
    if len(head.translate(None, CONTROLS)) != len(head):
        _blame(lines, "has a control character")
    return head


def _blame(lines: list[str], words: str) -> NoReturn:
    bad = next((line for line in lines if BAD.search(line, 0, len(line) - 2)), lines[0])
    raise WrongHeader(f"the header {bad.partition(':')[0][:100]!r} {words}")


def _length(value: str, before: int | None) -> int:
    digits = value.strip(" \t")
    if not re.fullmatch("[0-9]{1,18}", digits) or before not in (None, int(digits)):
        raise WrongHeader(f"the Content-Length {value[:100]!r} is not one number")
    return int(digits)


def _learn_status(status: str) -> tuple[int, str]:
    if not isinstance(status, str):
        raise WrongHeader(f"the status is of type {type(status).__name__}: it must be str, like '200 OK'")
    match = STATUS.fullmatch(status)
    if not match:
        raise WrongHeader(f"the status {status[:100]!r} is not like '200 OK'")
    found = (int(match[1]), f"HTTP/1.1 {status}{'' if ' ' in status else ' '}\r\n")
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
    return {"content-length": LENGTH, "set-cookie": COOKIE}.get(lower, PLAIN)


def _say_once(words: str) -> None:
    if words not in _said:
        _said.add(words)
        print(words, file=sys.stderr, flush=True)


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
    return result  # type: ignore[no-any-return]
