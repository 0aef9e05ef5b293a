"""What the Runtime section promises, with real processes: health path, recycling, memory, load, hung requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tests.asking import ask_on, has_reached
from tests.e2e.test_lifecycle import hello
from tests.e2e.test_replacement import ECHO
from tests.patience import within
from tests.serving import Answer, Stoa
from tests.waiting import wait_for

HEALTH = """
import pathlib
STATUS = pathlib.Path(__file__).with_name("status").read_text()
def application(environ, start_response):
    start_response(STATUS if environ["PATH_INFO"] == "/health" else "200 OK", [("Content-Type", "text/plain")])
    return [f"{STATUS} {environ['PATH_INFO']}".encode()]
"""
ASGI_HEALTH = """
import pathlib
STATUS = int(pathlib.Path(__file__).with_name("status").read_text()[:3])
async def application(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only http")
    status = STATUS if scope["path"].endswith("/health") else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": f"{STATUS} {scope['path']}".encode()})
"""


@pytest.mark.parametrize(("protocol", "source"), [(1, HEALTH), (2, ASGI_HEALTH)])
def test_a_newcomer_takes_over_only_when_its_health_path_answers(stoa: Stoa, protocol: int, source: str) -> None:
    name = f"/limits/health-{protocol}"
    directory = stoa.write(name[1:], {"app.py": source, "status": "204 No Content"})
    stoa.create(name, directory, WSGIType=protocol)
    stoa.set(name, health_path="/health")
    stoa.eventually(f"{name}/x", text="204")

    (directory / "status").write_text("503 Service Unavailable")
    done = stoa.command("webapp", "reload", name, check=False)

    assert done.returncode != 0
    assert "generation 3 did not start: the health path /health answered 503, not 200 to 399" in done.stderr
    assert stoa.get(f"{name}/x").text.startswith("204")
    (directory / "status").write_text("302 Found")
    stoa.command("webapp", "reload", name)
    stoa.eventually(f"{name}/x", text="302")
    stoa.set(name, health_status=503)
    assert "answered 302, not 503" in stoa.fact(name)["reason"]
    (directory / "status").write_text("503 Service Unavailable")
    stoa.command("webapp", "reload", name)
    stoa.eventually(f"{name}/x", text="503")


def test_a_health_path_that_raises_says_what(stoa: Stoa) -> None:
    source = hello()["app.py"] + "\nORIGINAL = application\ndef application(environ, start_response):\n"
    source += (
        "    assert environ['PATH_INFO'] != '/well', 'no database'\n    return ORIGINAL(environ, start_response)\n"
    )
    stoa.create("/limits/ill", stoa.write("limits/ill", {"app.py": source}), Enabled=0)
    stoa.set("/limits/ill", health_path="/well", enabled=True)

    row = stoa.wait_for_state("/limits/ill", "failed")

    assert row["reason"] == "the health path /well raised AssertionError: no database"


@contextmanager
def load(stoa: Stoa, name: str, failures: list[str], done: list[int]) -> Iterator[None]:
    """Ask steadily over several connections."""
    stopping = threading.Event()
    clients = [
        threading.Thread(target=ask_on, args=(stoa, f"{name}/", stopping, failures, done, kept)) for kept in (1, 1, 0)
    ]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        stopping.set()
        for client in clients:
            client.join(within(30))


def test_it_is_recycled_again_and_again_and_no_request_is_lost(stoa: Stoa) -> None:
    stoa.create("/limits/worn", stoa.write("limits/worn", {"app.py": ECHO}))
    stoa.set("/limits/worn", max_requests=100)
    stoa.eventually("/limits/worn/")
    failures: list[str] = []
    done = [0]

    with load(stoa, "/limits/worn", failures, done):
        wait_for(lambda: "recycled after" in stoa.fact("/limits/worn")["note"], 20, lambda: stoa.log("WSGI"))
        wait_for(partial(has_reached, done, done[0] + 100), 20)

    assert failures == []
    assert "begins anew: process" in stoa.logged("WSGI")


MEMORY = """
KEPT = []
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/grow":
        KEPT.append(b"x" * (80 << 20))
    return [str(len(KEPT)).encode()]
"""


def test_one_that_takes_too_much_memory_is_replaced(stoa: Stoa) -> None:
    stoa.create("/limits/memory", stoa.write("limits/memory", {"app.py": MEMORY}))
    stoa.set("/limits/memory", memory_limit=64 << 20)
    stoa.eventually("/limits/memory/", text="0")

    assert stoa.get("/limits/memory/grow").text == "1"

    wait_for(lambda: "and may take 64" in stoa.fact("/limits/memory")["note"], 10, lambda: stoa.log("WSGI"))
    stoa.eventually("/limits/memory/", text="0")


def test_one_that_wants_far_too_much_at_once_gets_a_memory_error(stoa: Stoa) -> None:
    stoa.create("/limits/greedy", stoa.write("limits/greedy", {"app.py": MEMORY.replace("80 <<", "4096 <<")}))
    stoa.set("/limits/greedy", memory_limit=64 << 20)
    stoa.eventually("/limits/greedy/", text="0")

    assert stoa.get("/limits/greedy/grow").status == 500
    wait_for(lambda: "MemoryError" in stoa.logged("WSGI"), 5, lambda: stoa.log("WSGI"))
    assert stoa.get("/limits/greedy/").text == "0"


SLOW = """
import pathlib, time
GATE = pathlib.Path(__file__).with_name("gate")
def application(environ, start_response):
    while environ["PATH_INFO"] == "/hang" and not GATE.exists():
        time.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
"""


@contextmanager
def hanging(stoa: Stoa, path: str, number: int) -> Iterator[list[Answer]]:
    """Have some clients ask for what hangs; afterwards their answers are in the list."""
    answers: list[Answer] = []
    clients = [threading.Thread(target=lambda: answers.append(stoa.get(path, timeout=60))) for _ in range(number)]
    for client in clients:
        client.start()
    try:
        yield answers
    finally:
        for client in clients:
            client.join(within(60))


def test_processes_follow_the_load(stoa: Stoa) -> None:
    directory = stoa.write("limits/load", {"app.py": SLOW})
    stoa.create("/limits/load", directory)
    stoa.set("/limits/load", threads=2, processes_max=2)
    stoa.eventually("/limits/load/")

    with hanging(stoa, "/limits/load/hang", 2) as answers:
        wait_for(lambda: len(stoa.fact("/limits/load")["pids"]) == 2, 20, lambda: stoa.log("WSGI"))
        wait_for(partial(answers_soon, stoa, "/limits/load/"), 20, "a process with a free thread takes the request")
        (directory / "gate").touch()

    assert [answer.text for answer in answers] == ["done", "done"]


def answers_soon(stoa: Stoa, path: str) -> bool:
    """Ask; the full process may have taken the request, and then another one is asked for."""
    try:
        return stoa.get(path, timeout=1).text == "done"
    except TimeoutError:
        return False


def test_hung_threads_get_504_and_their_process_is_replaced(stoa: Stoa) -> None:
    stoa.create("/limits/hung", stoa.write("limits/hung", {"app.py": SLOW}))
    stoa.set("/limits/hung", threads=2, processes_max=1, request_timeout=2)
    stoa.eventually("/limits/hung/")
    before = stoa.fact("/limits/hung")["pids"]

    with hanging(stoa, "/limits/hung/hang", 2) as answers:
        wait_for(lambda: stoa.fact("/limits/hung")["pids"] not in ([], before), 20, lambda: stoa.log("WSGI"))

    assert stoa.eventually("/limits/hung/").text == "done"
    assert [answer.status for answer in answers] == [504, 504]
    assert "all its threads have hung for more than 2 s" in stoa.fact("/limits/hung")["note"]
