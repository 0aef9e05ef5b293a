"""Saving under load: every request is answered, by the old generation or by the new one, and each POST runs once."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from functools import partial

import pytest

from tests.patience import within
from tests.serving import Stoa
from tests.waiting import wait_for

NOTE = """
import os

noted = os.open(os.path.join(os.path.dirname(__file__), "posts"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

def note(body):
    if body:
        os.write(noted, body.split(b" ")[0] + b"\\n")
"""
ECHO = f"""{NOTE}
def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    note(body)
    answer = body or b"got"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
"""
ASGI_ECHO = f"""{NOTE}
async def application(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only http")
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    note(body)
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": body or b"got"}})
"""
REPLACEMENTS = 8
CLIENTS = 6


@pytest.mark.parametrize(("protocol", "source"), [(1, ECHO), (2, ASGI_ECHO)])
def test_no_request_is_lost_while_generations_are_replaced(stoa: Stoa, protocol: int, source: str) -> None:
    name = f"/replaced/{protocol}"
    directory = stoa.write(f"replaced/{protocol}", {"app.py": source})
    stoa.create(name, directory, WSGIType=protocol)
    stoa.eventually(f"{name}/")
    clients = [Asking(stoa, f"{name}/", number, kept=number % 3 > 0) for number in range(CLIENTS)]
    for client in clients:
        client.start()

    for _number in range(REPLACEMENTS):
        stoa.command("webapp", "reload", name)
        enough = [client.done + 20 for client in clients]
        wait_for(partial(have_done, clients, enough), 20, lambda: f"the clients go on {failures_of(clients)}")
    for client in clients:
        client.stopping = True
        client.join(within(30))

    assert failures_of(clients) == []
    assert stoa.status()[name]["generation"] == REPLACEMENTS + 1
    posts = (directory / "posts").read_text().split()
    assert Counter(posts) == Counter(post for client in clients for post in client.posts)


def have_done(clients: list[Asking], enough: list[int]) -> bool:
    return all(client.done > wanted for client, wanted in zip(clients, enough, strict=True))


def failures_of(clients: list[Asking]) -> list[str]:
    return [failure for client in clients for failure in client.failures]


class Asking(threading.Thread):
    """GET and POST in turn, over one connection or a new one each time, and compare each answer. Nothing is retried."""

    def __init__(self, stoa: Stoa, path: str, number: int, *, kept: bool) -> None:
        super().__init__()
        self.path, self.number, self.kept = path, number, kept
        self.connection = http.client.HTTPConnection("127.0.0.1", stoa.port, timeout=within(20))
        self.stopping = False
        self.done = 0
        self.failures: list[str] = []
        self.posts: list[str] = []

    def run(self) -> None:
        """Ask until told to stop."""
        while not self.stopping:
            self.ask()
            if not self.kept:
                self.connection.close()
        self.connection.close()

    def ask(self) -> None:
        """Ask once and compare."""
        name = f"{self.number}-{self.done}"
        body = f"{name} ".encode() * (1 + self.done % 50 * 40) if self.done % 2 else b""
        if body:
            self.posts.append(name)
        self.done += 1
        try:
            self.connection.request("POST" if body else "GET", self.path, body=body or None)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{name}: {error!r}")
            self.connection.close()
            return
        if (answer.status, text) != (200, body or b"got"):
            self.failures.append(f"{name}: {answer.status} {text[:200]!r}")
