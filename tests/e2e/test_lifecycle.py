"""The life of an application, through the real front and with real processes."""

from __future__ import annotations

import http.client
import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.patience import within
from tests.serving import Stoa
from tests.waiting import wait_for

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{word} {{environ['SCRIPT_NAME']}} {{environ['PATH_INFO']}}".encode()]
"""


def hello(word: str = "hello") -> dict[str, str]:
    return {"app.py": HELLO.replace("{word}", word).replace("{{", "{").replace("}}", "}")}


def test_an_application_is_live_under_its_name(stoa: Stoa) -> None:
    stoa.create("/life/one", stoa.write("life/one", hello()))

    assert stoa.eventually("/life/one/x").text == "hello /life/one /x"


@pytest.mark.parametrize("debug", [0, 1])
def test_of_two_edits_of_one_second_and_one_size_the_second_is_served(stoa: Stoa, debug: int) -> None:
    name = f"/life/quick{debug}"
    second = float(int(time.time()) + 60)
    for number, word in enumerate(("one", "two", "six")):
        directory = stoa.write(name[1:], hello(word))
        os.utime(directory / "app.py", (second, second + number / 10))
        if number == 0:
            stoa.create(name, directory, WSGIDebug=debug)
        elif not debug:
            stoa.command("webapp", "reload", name)
        stoa.eventually(f"{name}/", text=word)
    assert len(list((directory / "__pycache__").iterdir())) == 1


def test_the_name_alone_redirects_for_get_and_head_only(stoa: Stoa) -> None:
    stoa.create("/life/slash", stoa.write("life/slash", hello()))
    stoa.eventually("/life/slash/")

    got, posted = stoa.get("/life/slash?a=1"), stoa.ask("POST", "/life/slash", body=b"x")

    assert got.status in (301, 302, 307, 308)
    assert got.headers["location"] == "/life/slash/?a=1"
    assert posted.status == 200


def test_a_save_that_fails_leaves_the_old_generation_serving(stoa: Stoa) -> None:
    directory = stoa.write("life/edit", hello("first"))
    stoa.create("/life/edit", directory)
    stoa.eventually("/life/edit/", text="first")

    stoa.write("life/edit", {"app.py": "def application(:\n"})
    done = stoa.command("webapp", "reload", "/life/edit", check=False)

    status = stoa.status()["/life/edit"]
    assert done.returncode != 0
    assert "SyntaxError" in done.stdout + done.stderr
    assert status["state"] == "running"
    assert status["reason"].startswith("generation 2 did not start: ")
    assert stoa.get("/life/edit/").text.startswith("first")

    stoa.write("life/edit", hello("mended"))
    stoa.command("webapp", "reload", "/life/edit")
    # The front may hold a connection to the old generation for a second more.
    stoa.eventually("/life/edit/", text="mended")
    assert stoa.status()["/life/edit"]["reason"] == ""


def test_a_failed_application_answers_503_at_once(stoa: Stoa) -> None:
    stoa.create("/life/broken", stoa.write("life/broken", {"app.py": "1 / 0\n"}))

    row = stoa.wait_for_state("/life/broken", "failed")

    assert "ZeroDivisionError" in row["reason"]
    assert stoa.eventually("/life/broken/", status=503, timeout=1).status == 503


def test_an_application_starts_by_itself_when_its_directory_appears(stoa: Stoa) -> None:
    directory = stoa.home / "csp" / "life" / "later"
    stoa.create("/life/later", directory)
    row = stoa.wait_for_state("/life/later", "failed")
    assert "does not exist" in row["reason"]

    stoa.write("life/later", hello())

    stoa.eventually("/life/later/", text="hello")


@pytest.mark.parametrize("line", ["ModifyApplication:Name=/life/off,Enabled=0", "DeleteApplication:Name=/life/off"])
def test_disabled_or_deleted_means_404_and_nothing_left(stoa: Stoa, line: str) -> None:
    directory = stoa.write("life/off", hello())
    stoa.merge("DeleteApplication:Name=/life/off")
    stoa.create("/life/off", directory)
    stoa.eventually("/life/off/")
    pids = stoa.status()["/life/off"]["pids"]

    stoa.merge(line)

    stoa.eventually("/life/off/", status=404)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 10, "its processes have gone")
    assert (directory / "app.py").exists()
    stoa.merge("DeleteApplication:Name=/life/off")


def test_a_crash_is_healed_at_once(stoa: Stoa) -> None:
    stoa.create("/life/crash", stoa.write("life/crash", hello()))
    stoa.eventually("/life/crash/")
    before = stoa.status()["/life/crash"]["pids"]

    os.kill(before[0], signal.SIGKILL)

    wait_for(lambda: stoa.status()["/life/crash"]["pids"] not in ([], before), 10, lambda: stoa.log("messages"))
    assert stoa.get("/life/crash/").status == 200
    assert "/life/crash g1 stoa a worker was killed by SIGKILL; restarted at once" in stoa.logged("WSGI")


def test_a_crash_loop_backs_off_and_says_so(stoa: Stoa) -> None:
    source = "import os, threading\nthreading.Timer(0.05, os._exit, [7]).start()\n" + hello()["app.py"]
    stoa.create("/life/loop", stoa.write("life/loop", {"app.py": source}))

    row = stoa.wait_for_state("/life/loop", "failed")

    assert "crashed" in row["reason"] and "pause" in row["reason"]
    stoa.merge("DeleteApplication:Name=/life/loop")


def test_killing_the_supervisor_restarts_nothing_else(stoa: Stoa) -> None:
    stoa.create("/life/steady", stoa.write("life/steady", hello()))
    stoa.eventually("/life/steady/")
    before = stoa.status()["/life/steady"]["pids"]
    supervisor = stoa.live()["supervisor"]["pid"]

    os.kill(supervisor, signal.SIGKILL)

    assert all(stoa.get("/life/steady/").status == 200 for _ in range(50))
    wait_for(
        lambda: stoa.live().get("supervisor", {}).get("pid") not in (None, supervisor),
        10,
        lambda: stoa.log("messages"),
    )
    assert stoa.status()["/life/steady"]["pids"] == before


def test_every_save_starts_a_new_generation_even_with_nothing_changed(stoa: Stoa) -> None:
    stoa.create("/life/again", stoa.write("life/again", hello()))
    stoa.eventually("/life/again/")

    stoa.command("webapp", "reload", "/life/again")

    assert stoa.status()["/life/again"]["generation"] == 2


def test_the_longest_name_wins_on_whole_segments(stoa: Stoa) -> None:
    for name in ("deep", "deep/er", "deeper"):
        stoa.create(f"/{name}", stoa.write(f"life/{name.replace('/', '-')}", hello(name)))
        stoa.eventually(f"/{name}/")

    assert stoa.get("/deep/x").text.startswith("deep /deep /x")
    assert stoa.get("/deep/er/x").text.startswith("deep/er /deep/er /x")
    assert stoa.get("/deeper/x").text.startswith("deeper /deeper /x")


def test_two_applications_called_app_do_not_see_each_other(stoa: Stoa) -> None:
    for name in ("twin-a", "twin-b"):
        stoa.write(f"life/{name}", {"helper.py": f"WORD = {name!r}\n"})
        source = hello()["app.py"].replace('f"hello', 'f"{helper.WORD}')
        stoa.create(f"/life/{name}", stoa.write(f"life/{name}", {"app.py": "import helper\n" + source}))

    assert stoa.eventually("/life/twin-a/").text.startswith("twin-a")
    assert stoa.eventually("/life/twin-b/").text.startswith("twin-b")


@pytest.mark.parametrize("methods", [64, 32])
def test_a_browser_that_keeps_its_connection_sees_that_an_application_is_gone(stoa: Stoa, methods: int) -> None:
    name = f"/life/gone{methods}"
    stoa.create(name, stoa.write("life/gone", hello()), AutheEnabled=methods)
    with closing(http.client.HTTPConnection("127.0.0.1", stoa.port, timeout=within(20))) as kept:

        def status() -> int:
            kept.request("GET", f"{name}/")
            answer = kept.getresponse()
            answer.read()
            return answer.status

        wait_for(lambda: status() == (200 if methods == 64 else 401), 20)
        stoa.merge(f"DeleteApplication:Name={name}")
        wait_for(lambda: name not in stoa.status() and stoa.live()["front"]["settled"], 10)

        assert status() == 404
