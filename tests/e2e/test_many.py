"""Two hundred applications from one file, one of them printing without end, and the supervisor killed meanwhile."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tests.patience import within
from tests.serving import Stoa
from tests.waiting import wait_for

COUNT = 200
NAMED = """
import os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode()]
"""
FLOOD = (
    """
import threading
def flood():
    while True:
        print("x" * 200)
threading.Thread(target=flood, daemon=True).start()
"""
    + NAMED
)


@pytest.fixture(scope="module")
def crowd() -> Iterator[Stoa]:
    with Stoa() as stoa:
        directory, flood = stoa.write("many", {"app.py": NAMED}), stoa.write("flood", {"app.py": FLOOD})
        lines = [line(f"/many/{number}", str(directory)) for number in range(COUNT)]
        stoa.merge(*lines, line("/flood", str(flood)))
        wait_for(lambda: all_running(stoa), 120, lambda: stoa.log("messages"))
        yield stoa


def line(name: str, directory: str) -> str:
    return (
        f'CreateApplication:Name={name},NameSpace=USER,WSGIAppLocation="{directory}",'
        "WSGIAppName=app,WSGICallable=application,AutheEnabled=64"
    )


def all_running(stoa: Stoa) -> bool:
    live = stoa.live()
    apps = live.get("webapps", {}).values()
    return len(apps) == COUNT + 1 and all(app["state"] == "running" for app in apps) and live["front"]["settled"]


def test_each_of_two_hundred_answers_with_its_own_name(crowd: Stoa) -> None:
    answers = {name: crowd.get(f"{name}/").text for name in (f"/many/{number}" for number in range(COUNT))}

    assert all(name == text for name, text in answers.items())


def test_no_request_fails_and_nothing_restarts_when_the_supervisor_is_killed(crowd: Stoa) -> None:
    before = {key: app["pids"] for key, app in crowd.live()["webapps"].items()}
    supervisor = crowd.live()["supervisor"]["pid"]
    failures: list[str] = []
    asked = [0]
    stopping = threading.Event()
    clients = [threading.Thread(target=ask_on, args=(crowd, failures, asked, stopping)) for _number in range(4)]
    for client in clients:
        client.start()

    wait_for(lambda: asked[0] > 200, 30, "the clients are at work")
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: crowd.live().get("supervisor", {}).get("pid") not in (None, supervisor), 20, "it is back")
    wait_for(lambda: all_running(crowd), 20, lambda: crowd.log("messages"))
    enough = asked[0] + 200
    wait_for(lambda: asked[0] > enough, 30, "the clients go on")
    stopping.set()
    for client in clients:
        client.join(within(30))

    assert failures == []
    assert {key: app["pids"] for key, app in crowd.live()["webapps"].items()} == before


def ask_on(stoa: Stoa, failures: list[str], asked: list[int], stopping: threading.Event) -> None:
    """Ask one application after the other and note what is not as it should be."""
    number = 0
    while not stopping.is_set():
        number = (number + 7) % COUNT
        name = f"/many/{number}"
        try:
            answer = stoa.get(f"{name}/")
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{name}: {error!r}")
            continue
        if (answer.status, answer.text) != (200, name):
            failures.append(f"{name}: {answer}")
        asked[0] += 1


def test_one_that_prints_without_end_neither_disturbs_others_nor_fills_the_disk(crowd: Stoa) -> None:
    logs = sum(path.stat().st_size for path in (crowd.home / "log").iterdir())

    assert crowd.get("/flood/").status == 200
    assert crowd.get("/many/1/").status == 200
    assert logs < 80 << 20
