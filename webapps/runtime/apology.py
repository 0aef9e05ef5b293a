"""Answer the requests that wait for an application which turns out not to start: nobody waits for what has failed."""

from __future__ import annotations

import select
import socket
import threading
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "static" / "front" / "503.html"
ROOM = 1 << 16


class Apologies:
    """Turn away who waits, each application's in a thread of its own while there are any.

    An application that holds its listening socket can have it wait in accept(2), for whoever does that: the flag
    belongs to the socket (fcntl(2), F_SETFL). So nobody does that who has others to look after.
    """

    def __init__(self) -> None:
        self._threads: dict[int, threading.Thread] = {}

    def begin(self, app_id: int, listener: socket.socket) -> None:
        """Turn away who waits at an application's socket, unless that is being done."""
        before = self._threads.get(app_id)
        if (before and before.is_alive()) or not _is_waited_at(listener):
            return
        own = listener.dup()  # The supervisor may close the other one meanwhile, and its number be another's then.
        self._threads[app_id] = threading.Thread(target=_turn_away_and_close, args=(own,), daemon=True)
        self._threads[app_id].start()


def _is_waited_at(listener: socket.socket) -> bool:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))


def _turn_away_and_close(listener: socket.socket) -> None:
    with listener:
        turn_away(listener)


def turn_away(listener: socket.socket) -> int:
    """Answer 503 to every connection in the listener's queue; return how many there were."""
    count = 0
    while _is_waited_at(listener):
        try:
            caller = listener.accept()[0]
        except OSError:  # BlockingIOError at the end of the queue; ECONNABORTED and the like are the caller's matter.
            break
        count += 1
        with caller:
            _answer(caller)
    return count


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
