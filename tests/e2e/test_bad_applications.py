"""Applications that are wrong in every way that the issue names: each gets a message that says so."""

from __future__ import annotations

import os
import threading
import time

import pytest

from tests.e2e.test_lifecycle import hello
from tests.patience import within
from tests.serving import Answer, Stoa
from tests.waiting import wait_for

ASGI = "async def application(scope, receive, send):\n    pass\n"


@pytest.mark.parametrize(
    ("name", "source", "properties", "words"),
    [
        ("exits", "import sys\nsys.exit(3)\n", {}, "called sys.exit(3) while it was imported"),
        ("vanishes", "import os\nos._exit(9)\n", {}, "ended with status 9 (did it call sys.exit or os._exit?)"),
        ("killed", "import os\nos.kill(os.getpid(), 9)\n", {}, "was killed by SIGKILL before it was ready"),
        ("raises", "raise RuntimeError('no database')\n", {}, "app raised RuntimeError: no database"),
        ("missing", "def app(e, s): ...\n", {}, "app.py has no 'application'; it has: app"),
        ("number", "application = 5\n", {}, "is not callable: it is of type int"),
        ("asgi", ASGI, {}, "set it to asgi"),
        ("wsgi", hello()["app.py"], {"WSGIType": 2}, "set it to wsgi"),
        ("module", "", {"WSGIAppName": "ap"}, "there is no module 'ap'"),
        (
            "lifespan",
            "async def application(scope, receive, send):\n"
            "    await receive()\n"
            "    await send({'type': 'lifespan.startup.failed', 'message': 'no licence'})\n",
            {"WSGIType": 2},
            "no licence",
        ),
    ],
)
def test_it_says_what_is_wrong(stoa: Stoa, name: str, source: str, properties: dict[str, object], words: str) -> None:
    stoa.create(f"/bad/{name}", stoa.write(f"bad/{name}", {"app.py": source}), **properties)

    row = stoa.wait_for_state(f"/bad/{name}", "failed")

    assert words in row["reason"]
    assert stoa.eventually(f"/bad/{name}/", status=503).status == 503
    stoa.merge(f"DeleteApplication:Name=/bad/{name}")


def test_one_that_never_becomes_ready_is_stopped_after_its_start_timeout(stoa: Stoa) -> None:
    stoa.write("bad/hangs", {"app.py": "import time\nprint('about to wait', flush=True)\ntime.sleep(600)\n"})
    stoa.command(
        "shell",
        "-c",
        "from webapps.models import *; WebApp.objects.create(name='/bad/hangs', start_timeout=1, app_name='app', "
        f"directory='{stoa.home}/csp/bad/hangs', namespace=Namespace.objects.get(name='USER'), authe_enabled=64)",
    )

    row = stoa.wait_for_state("/bad/hangs", "failed")

    words = "it was not ready within 1 seconds and was stopped; it was at line 3 of app.py: time.sleep(600)"
    assert row["reason"] == words
    assert 'app.py", line 3, in <module>' in stoa.fact("/bad/hangs")["detail"]
    assert "about to wait" in stoa.logged("WSGI")
    stoa.merge("DeleteApplication:Name=/bad/hangs")


RAISES = "print('I was here')\nraise RuntimeError('no database')\n"
TRACED = (
    "print('I was here')\n"
    "async def application(scope, receive, send):\n"
    "    await receive()\n"
    "    await send({'type': 'lifespan.startup.failed', 'message': 'Traceback:\\n  line\\nRuntimeError: no database'})\n"
)


@pytest.mark.parametrize(("protocol", "source"), [(1, RAISES), (2, TRACED)])
def test_the_same_failure_is_logged_once_and_stays_on_the_page(stoa: Stoa, protocol: int, source: str) -> None:
    name = f"/bad/again{protocol}"
    stoa.create(name, stoa.write(name[1:], {"app.py": source}), WSGIType=protocol)
    prefix = f" {name} g1 "

    wait_for(lambda: stoa.logged("WSGI").count(f"{prefix}out I was here") >= 3, 20, lambda: stoa.log("WSGI"))
    stoa.create("/bad/elsewhere", stoa.write("bad/elsewhere", hello()))  # Nothing that concerns it.
    stoa.eventually("/bad/elsewhere/")

    lines = [line.partition(prefix)[2] for line in stoa.logged("WSGI").splitlines() if prefix in line]
    assert sum("RuntimeError: no database" in line for line in lines if line.startswith("err ")) == 1
    assert sum("did not start: " in line for line in lines) == 1
    pauses = [line for line in lines if line.startswith("stoa did not start, as before; it is tried again after")]
    assert len(pauses) == len(set(pauses)) > 0
    assert stoa.logged("messages").count(f"{name} generation 1: did not start") == 1
    fact = stoa.fact(name)
    assert fact["reason"].endswith("RuntimeError: no database")
    assert "\n" not in fact["reason"]
    assert fact["detail"].splitlines()[0].startswith("Traceback")
    stoa.merge(f"DeleteApplication:Name={name}")


def test_a_try_that_hangs_does_not_hide_what_the_one_before_it_said(stoa: Stoa) -> None:
    marker = stoa.directory / "has-failed"
    source = (
        "import os, time\n"
        f"if os.path.exists({str(marker)!r}):\n    time.sleep(600)\n"
        f"open({str(marker)!r}, 'w').close()\nraise RuntimeError('no database')\n"
    )
    stoa.create("/bad/both", stoa.write("bad/both", {"app.py": source}), Enabled=0)
    stoa.set("/bad/both", start_timeout=1, enabled=True)
    seen = []

    def hung() -> bool:
        seen.append(stoa.fact("/bad/both"))
        return "was not ready within" in str(seen[-1].get("reason"))

    wait_for(hung, 20, lambda: str(seen))

    reasons = [str(fact.get("reason")) for fact in seen if fact.get("state") == "failed"]
    assert all("app raised RuntimeError: no database" in reason for reason in reasons)
    assert seen[-1]["reason"].startswith("it was not ready within 1 seconds and was stopped; the try before it: ")
    assert "RuntimeError: no database" in seen[-1]["detail"]
    stoa.merge("DeleteApplication:Name=/bad/both")


def test_one_that_prints_a_megabyte_while_it_is_imported_is_live(stoa: Stoa) -> None:
    source = "print(('y' * 99 + '\\n') * 10_000)\n" + hello()["app.py"]
    stoa.create("/bad/loud", stoa.write("bad/loud", {"app.py": source}))

    stoa.eventually("/bad/loud/", text="hello")


@pytest.mark.parametrize("answer", ["['text']", "iter(['text'])", "'text'"])
def test_an_answer_of_str_is_named(stoa: Stoa, answer: str) -> None:
    source = f"def application(environ, start_response):\n    start_response('200 OK', [])\n    return {answer}\n"
    directory = stoa.write("bad/str", {"app.py": source})
    stoa.merge("DeleteApplication:Name=/bad/str")
    stoa.create("/bad/str", directory)
    stoa.wait_for_state("/bad/str", "running")
    before = stoa.logged("WSGI").count("PEP 3333 requires bytes")

    assert stoa.eventually("/bad/str/", status=500).status == 500

    wait_for(lambda: stoa.logged("WSGI").count("PEP 3333 requires bytes") > before, 5, lambda: stoa.log("WSGI"))


def test_lines_of_several_applications_are_neither_torn_nor_forged(stoa: Stoa) -> None:
    source = (
        "print('\\x1b[31mred\\x1b[0m \\r2026-11-21T00:00:00.000Z /other g1 out forged')\nprint('z' * 20_000)\n"
        + hello()["app.py"]
    )
    stoa.create("/bad/forger", stoa.write("bad/forger", {"app.py": source}))
    stoa.eventually("/bad/forger/")

    lines = (stoa.home / "log" / "WSGI.log").read_bytes().split(b"\n")

    mine = [line for line in lines if b" /bad/forger g1 out " in line]
    assert any(b"\\x1b[31mred" in line and b"forged" in line for line in mine)
    assert not any(line.split(b" ")[1:2] == [b"/other"] for line in lines)
    assert max(map(len, lines)) <= 8192


def test_a_request_in_flight_is_answered_when_stoa_is_stopped() -> None:
    source = "import time\n" + hello()["app.py"].replace(
        "    start_response", "    time.sleep(1.5)\n    start_response"
    )
    with Stoa() as stoa:
        stoa.create("/slow", stoa.write("slow", {"app.py": source}))
        stoa.eventually("/slow/")
        answers: list[Answer] = []
        client = threading.Thread(target=lambda: answers.append(stoa.get("/slow/")))
        client.start()
        began = time.monotonic()
        wait_for(lambda: time.monotonic() > began + 0.5, 5, "the request is in flight")

        assert stoa.stop() == 0

        client.join(within(10))
        assert [answer.status for answer in answers] == [200]


@pytest.mark.parametrize("protocol", [1, 2])
def test_whoever_came_while_it_was_starting_is_not_kept_waiting_when_it_fails(stoa: Stoa, protocol: int) -> None:
    name = f"/bad/late{protocol}"
    directory = stoa.write(name[1:], {"app.py": "import time\ntime.sleep(2)\nraise RuntimeError('late')\n"})
    stoa.create(name, directory, WSGIType=protocol)
    wait_for(lambda: stoa.get("/bad/none/").status == 404 and stoa.live().get("front", {}).get("settled"), 10)

    answer = stoa.eventually(f"{name}/", status=503, timeout=5)

    assert "The application is not running" in answer.text
    stoa.merge(f"DeleteApplication:Name={name}")


def test_one_that_leaves_a_process_behind_while_it_is_imported_is_live(stoa: Stoa) -> None:
    source = "import os, time\nif os.fork() == 0:\n    time.sleep(600)\n" + hello()["app.py"]
    stoa.create("/bad/forks", stoa.write("bad/forks", {"app.py": source}))

    stoa.eventually("/bad/forks/", text="hello")

    stoa.merge("DeleteApplication:Name=/bad/forks")


def test_one_that_starts_a_server_of_its_own_is_told_so(stoa: Stoa) -> None:
    source = (
        "from wsgiref.simple_server import make_server\n"
        + hello()["app.py"]
        + "make_server('127.0.0.1', 0, application).serve_forever()\n"
    )
    stoa.create("/bad/serves", stoa.write("bad/serves", {"app.py": source}), Enabled=0)
    stoa.set("/bad/serves", start_timeout=10, enabled=True)

    assert "That is a server of its own" in stoa.wait_for_state("/bad/serves", "failed")["reason"]
    stoa.merge("DeleteApplication:Name=/bad/serves")


def test_a_request_of_which_a_worker_dies_does_not_make_the_others_wait(stoa: Stoa) -> None:
    source = hello()["app.py"].replace(
        "    start_response", "    if environ['PATH_INFO'] == '/dies':\n        os._exit(9)\n    start_response", 1
    )
    stoa.create("/bad/dies", stoa.write("bad/dies", {"app.py": f"import os\n{source}"}))
    stoa.eventually("/bad/dies/", text="hello")

    assert stoa.get("/bad/dies/dies").status == 502
    assert [stoa.get("/bad/dies/").status for _ in range(5)] == [200] * 5
    stoa.merge("DeleteApplication:Name=/bad/dies")


def test_those_that_hang_at_their_start_do_not_keep_the_others_from_starting(stoa: Stoa) -> None:
    directory = stoa.write("bad/hung", {"app.py": "while True:\n    pass\n"})
    names = [f"/bad/hung{number}" for number in range(os.cpu_count() or 1)]
    for name in names:
        stoa.create(name, directory)
    wait_for(lambda: all(stoa.status()[name]["pids"] for name in names), 20, lambda: str(stoa.status()))

    stoa.create("/bad/behind", stoa.write("bad/behind", hello()))

    wait_for(lambda: "waits for its turn" in stoa.status()["/bad/behind"]["reason"], 5, lambda: str(stoa.status()))
    stoa.eventually("/bad/behind/", text="hello", deadline=40)
    stoa.merge(*(f"DeleteApplication:Name={name}" for name in names))
