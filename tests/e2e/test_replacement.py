"""Saving under load: every request is answered, by the old generation or by the new one."""

from __future__ import annotations

import http.client
import threading
from functools import partial

import pytest

from tests.serving import Stoa
from tests.waiting import wait_for

ECHO = """
def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    answer = body or b"got"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
"""
ASGI_ECHO = """
async def application(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only http")
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body or b"got"})
"""
REPLACEMENTS = 8


@pytest.mark.parametrize(("protocol", "source"), [(1, ECHO), (2, ASGI_ECHO)])
def test_no_request_is_lost_while_generations_are_replaced(stoa: Stoa, protocol: int, source: str) -> None:
    name = f"/replaced/{protocol}"
    stoa.create(name, stoa.write(f"replaced/{protocol}", {"app.py": source}), WSGIType=protocol)
    stoa.eventually(f"{name}/")
    stopping, done = threading.Event(), [0]
    failures: list[str] = []
    clients = [
        threading.Thread(target=ask_on, args=(stoa, f"{name}/", stopping, failures, done, kept))
        for kept in (True, True, False)
    ]
    for client in clients:
        client.start()

    for _number in range(REPLACEMENTS):
        stoa.command("webapp", "reload", name)
        enough = done[0] + 20
        wait_for(partial(has_reached, done, enough), 20, lambda: f"the clients go on {failures}")
    stopping.set()
    for client in clients:
        client.join(30)

    assert failures == []
    assert stoa.status()[name]["generation"] == REPLACEMENTS + 1


def has_reached(done: list[int], enough: int) -> bool:
    return done[0] > enough


def ask_on(stoa: Stoa, path: str, stopping: threading.Event, failures: list[str], done: list[int], kept: bool) -> None:
    """GET and POST in turn, over one connection or a new one each time, and compare each answer."""
    connection = http.client.HTTPConnection("127.0.0.1", stoa.port, timeout=20)
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
