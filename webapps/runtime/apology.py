"""Answer the requests that wait for an application which turns out not to start: nobody waits for what has failed."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "static" / "front" / "503.html"
ROOM = 1 << 16


def turn_away(listener: socket.socket) -> int:
    """Answer 503 to every connection in the listener's queue; return how many there were."""
    count = 0
    while True:
        try:
            caller = listener.accept()[0]
        except OSError:  # BlockingIOError at the end of the queue; ECONNABORTED and the like are the caller's matter.
            return count
        count += 1
        with caller:
            _answer(caller)


def _answer(caller: socket.socket) -> None:
    """Say it in one go, to nginx, which has sent the request's head already; whoever has gone misses nothing."""
    caller.setblocking(False)
    try:
        caller.recv(ROOM)  # What is not read when a Unix socket is closed resets the connection.
        caller.sendall(_response())
    except OSError:
        pass


@cache
def _response() -> bytes:
    page = PAGE.read_bytes()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Cache-Control: no-store\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + page
