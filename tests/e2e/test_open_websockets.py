"""A WebSocket that is open ends when who opened it may not enter any more; those of others stay."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests import signing
from tests.e2e.test_gate import LOGIN_COOKIE, PASSWORD, UNAUTHENTICATED, WITHIN, basic
from tests.patience import within
from tests.serving import Stoa
from tests.waiting import wait_for

ECHO = """
async def application(scope, receive, send):
    if scope["type"] != "websocket":
        raise RuntimeError("only WebSockets")
    assert b"stoa-pass" not in dict(scope["headers"])
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
"""
NUMBERS = itertools.count()
CHANGES = {
    "signed out": "SignIn.end(Q(user__username={user!r}))",
    "disabled": "user = User.objects.get(username={user!r}); user.is_active = False; user.save()",
    "deleted": "User.objects.get(username={user!r}).delete()",
    "another password": "user = User.objects.get(username={user!r}); user.set_password('another'); user.save()",
    "another role": "User.objects.get(username={user!r}).groups.add(Group.objects.get_or_create(name='Reader')[0])",
}


@pytest.fixture(scope="module")
def stoa() -> Iterator[Stoa]:
    with Stoa() as running:
        directory = running.write("sockets", {"app.py": ECHO})
        for name, bits in (("/socket", PASSWORD | LOGIN_COOKIE), ("/mixed", UNAUTHENTICATED | PASSWORD)):
            running.create(name, directory, WSGIType=2, AutheEnabled=bits)
            running.wait_for_state(name, "running")
        signing.user(running, "bob")
        yield running


@pytest.fixture
def ann(stoa: Stoa) -> str:
    """Somebody whom no other test has changed."""
    name = f"ann{next(NUMBERS)}"
    signing.user(stoa, name)
    return name


def shown_by(stoa: Stoa, user: str, means: str) -> dict[str, str]:
    if means == "basic":
        return basic(user, signing.PASSWORD)
    return {
        "Cookie": signing.session(stoa, "/socket", user) if means == "session" else signing.login_cookie(stoa, user)
    }


@contextmanager
def enter(stoa: Stoa, headers: dict[str, str], name: str = "/socket") -> Iterator[ClientConnection]:
    """Open a WebSocket, once the gate knows whom it is asked for."""
    # The application answers a page with 500: then it was let in.
    wait_for(lambda: stoa.get(f"{name}/", headers=headers).status == 500, WITHIN, "nobody was let in", interval=0.2)
    with connect(f"ws://127.0.0.1:{stoa.port}{name}/", additional_headers=headers) as socket:
        assert echoes(socket)
        yield socket


def echoes(socket: ClientConnection) -> bool:
    socket.send("hello")
    return socket.recv(timeout=within(5)) == "hello"


def ended_with(socket: ClientConnection) -> int:
    """Wait until it is closed from the other side; return the code."""
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=within(WITHIN))
    assert closed.value.rcvd
    return closed.value.rcvd.code


@pytest.mark.parametrize(
    ("means", "change"),
    [
        ("session", "signed out"),
        ("login", "signed out"),
        *(("session", change) for change in CHANGES if change != "signed out"),
        ("basic", "disabled"),
        ("basic", "another password"),
    ],
)
def test_it_ends_within_five_seconds(stoa: Stoa, ann: str, means: str, change: str) -> None:
    with enter(stoa, shown_by(stoa, ann, means)) as anns, enter(stoa, shown_by(stoa, "bob", means)) as bobs:
        signing.run(stoa, CHANGES[change].format(user=ann))

        assert ended_with(anns) == 1008
        assert echoes(bobs)


def test_a_gate_that_is_killed_ends_nothing_and_forgets_nothing(stoa: Stoa, ann: str) -> None:
    with enter(stoa, shown_by(stoa, ann, "session")) as anns:
        before = stoa.pid_of("gate")
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: stoa.children().get("gate") not in (None, before), 5)
        assert echoes(anns)

        signing.run(stoa, CHANGES["signed out"].format(user=ann))
        assert ended_with(anns) == 1008


def test_what_ends_a_method_ends_what_came_in_by_it(stoa: Stoa) -> None:
    off, on = (
        f"options = Options.current(); options.allow_unauthenticated = {word}; options.save()" for word in (0, 1)
    )
    with enter(stoa, {}, "/mixed") as visitors, enter(stoa, shown_by(stoa, "bob", "basic"), "/mixed") as bobs:
        try:
            signing.run(stoa, off)
            assert ended_with(visitors) == 1008
            assert echoes(bobs)
        finally:
            signing.run(stoa, on)
