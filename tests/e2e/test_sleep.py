"""Sleep and wake, through the real front and with real processes."""

from __future__ import annotations

import os
import signal
import socket
import threading
from functools import partial
from pathlib import Path

from tests.asking import ask_on, has_reached
from tests.e2e.test_lifecycle import hello
from tests.e2e.test_replacement import ASGI_ECHO, ECHO
from tests.patience import within
from tests.serving import Stoa
from tests.waiting import wait_for

SOON = 2


def sleeper(stoa: Stoa, name: str, files: dict[str, str], properties: dict[str, object] | None = None) -> None:
    """Create an application that falls asleep soon, and wait until it does."""
    stoa.create(name, stoa.write(name[1:], files), **(properties or {}))
    stoa.set(name, sleep_after=SOON)
    stoa.eventually(f"{name}/")
    wait_for_sleep(stoa, name)


def wait_for_sleep(stoa: Stoa, name: str) -> None:
    def sleeps() -> bool:
        fact = stoa.fact(name)
        return fact.get("state") == "asleep" and not fact["pids"]

    wait_for(sleeps, 20, lambda: f"{stoa.fact(name)} {stoa.log('WSGI')}")


def test_an_idle_application_has_no_process_and_the_next_request_is_answered(stoa: Stoa) -> None:
    stoa.create("/sleep/one", stoa.write("sleep/one", hello()))
    stoa.eventually("/sleep/one/")
    pids = stoa.status()["/sleep/one"]["pids"]
    stoa.set("/sleep/one", sleep_after=SOON)

    wait_for_sleep(stoa, "/sleep/one")
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 10, "its process has gone")
    assert stoa.status()["/sleep/one"]["reason"] == "it starts with the next request"

    assert stoa.get("/sleep/one/x").text == "hello /sleep/one /x"
    wait_for(lambda: stoa.fact("/sleep/one")["state"] == "running", 5)
    log = stoa.logged("WSGI")
    assert f"/sleep/one g2 stoa falls asleep: no request for {SOON} s" in log
    assert "/sleep/one g2 stoa wakes" in log


def test_a_minimum_of_no_process_begins_asleep_and_a_save_leaves_it_so(stoa: Stoa) -> None:
    stoa.create("/sleep/zero", stoa.write("sleep/zero", hello()), Enabled=0)
    stoa.set("/sleep/zero", processes_min=0, enabled=True)
    wait_for_sleep(stoa, "/sleep/zero")

    done = stoa.command("webapp", "reload", "/sleep/zero")

    assert "asleep; generation 3 starts with the next request" in done.stdout
    assert stoa.eventually("/sleep/zero/").status == 200
    assert "/sleep/zero g1 stoa starting" not in stoa.logged("WSGI")


def test_a_save_wakes_one_that_has_a_minimum_to_see_whether_it_starts(stoa: Stoa) -> None:
    sleeper(stoa, "/sleep/saved", hello())

    done = stoa.command("webapp", "reload", "/sleep/saved")

    assert "generation 3 runs" in done.stdout


def test_an_open_websocket_keeps_it_awake(stoa: Stoa) -> None:
    stoa.create("/sleep/ws", stoa.write("sleep/ws", {"app.py": WEBSOCKET}), WSGIType=2)
    stoa.set("/sleep/ws", sleep_after=1)
    stoa.eventually("/sleep/ws/")
    opened = open_websocket(stoa, "/sleep/ws/")
    with opened:
        beats = stoa.fact("/sleep/ws")["pids"]
        other = "/sleep/ws-other"
        sleeper(stoa, other, hello())  # Longer than this one's idle time has passed by then.

        assert stoa.fact("/sleep/ws")["pids"] == beats

    wait_for_sleep(stoa, "/sleep/ws")


WEBSOCKET = ASGI_ECHO.replace(
    '    if scope["type"] != "http":\n',
    """    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    if scope["type"] != "http":
""",
)


def open_websocket(stoa: Stoa, path: str) -> socket.socket:
    """Open a WebSocket by hand (RFC 6455), and wait until it is accepted."""
    connection = socket.create_connection(("127.0.0.1", stoa.port), timeout=within(20))
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(4096)
    assert b" 101 " in answer.split(b"\r\n")[0], answer
    return connection


def test_a_killed_supervisor_wakes_nobody(stoa: Stoa) -> None:
    sleeper(stoa, "/sleep/on", hello())
    supervisor = stoa.live()["supervisor"]["pid"]

    os.kill(supervisor, signal.SIGKILL)

    wait_for(lambda: stoa.live().get("supervisor", {}).get("pid") not in (None, supervisor), 10)
    wait_for_sleep(stoa, "/sleep/on")
    assert stoa.logged("WSGI").count("/sleep/on g2 stoa starting") == 1
    assert stoa.get("/sleep/on/").status == 200


def test_no_request_is_lost_in_a_churn_of_sleeping_and_waking(stoa: Stoa) -> None:
    """Requests come in bursts with pauses about as long as the idle time, so that sleep and requests meet."""
    names = ["/sleep/churn-wsgi", "/sleep/churn-asgi"]
    for name, source, protocol in zip(names, (ECHO, ASGI_ECHO), (1, 2), strict=True):
        stoa.create(name, stoa.write(name[1:], {"app.py": source}), WSGIType=protocol)
        stoa.set(name, sleep_after=1)
        stoa.eventually(f"{name}/")
    failures: list[str] = []
    for _burst in range(4):
        stopping, done = threading.Event(), [0]
        clients = [
            threading.Thread(target=ask_on, args=(stoa, f"{name}/", stopping, failures, done, kept))
            for name in names
            for kept in (True, False)
        ]
        for client in clients:
            client.start()
        wait_for(partial(has_reached, done, 100), 20, lambda: f"the clients go on {failures}")
        stopping.set()
        for client in clients:
            client.join(within(30))
        assert failures == []
        for name in names:
            # The old processes are leaving at this very moment, and the next burst comes.
            wait_for(partial(is_asleep, stoa, name), 10, lambda: stoa.log("WSGI"), interval=0.001)


def is_asleep(stoa: Stoa, name: str) -> bool:
    return bool(stoa.fact(name)["state"] == "asleep")
