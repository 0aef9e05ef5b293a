"""A client that asks on and on, and compares each answer."""

from __future__ import annotations

import http.client
import threading

from tests.patience import within
from tests.serving import Stoa


def has_reached(done: list[int], enough: int) -> bool:
    return done[0] > enough


def ask_on(stoa: Stoa, path: str, stopping: threading.Event, failures: list[str], done: list[int], kept: bool) -> None:
    """GET and POST in turn, over one connection or a new one each time, and compare each answer."""
    connection = http.client.HTTPConnection("127.0.0.1", stoa.port, timeout=within(20))
    number = 0
    while not stopping.is_set():
        number += 1
        body = f"number {number}".encode() * (number % 50) if number % 2 else b""
        try:
            connection.request("POST" if body else "GET", path, body=body or None)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            failures.append(repr(error))
            connection.close()
            continue
        if (answer.status, text) != (200, body or b"got"):
            failures.append(f"{answer.status} {text[:200]!r}")
        done[0] += 1
        if not kept:
            connection.close()
    connection.close()
