"""DEBUG: edits are live by themselves, and an exception shows its traceback in the browser."""

from __future__ import annotations

import socket

import pytest

from tests.e2e.test_lifecycle import HELLO, hello
from tests.e2e.test_sleep import WEBSOCKET, open_websocket
from tests.serving import Stoa
from tests.waiting import stays_untrue, wait_for

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


def test_an_edit_is_live_by_itself_within_a_second_or_so(stoa: Stoa) -> None:
    directory = stoa.write("debug/edit", {**hello("first"), "part/more.py": "WORD = 'x'\n"})
    stoa.create("/debug/edit", directory, WSGIDebug=1)
    stoa.eventually("/debug/edit/", text="first")

    stoa.write("debug/edit", hello("second"))
    # Looking takes 0.4 s at most and starting a moment; the rest is this machine's.
    wait_for(lambda: stoa.get("/debug/edit/").text.startswith("second"), 3, lambda: stoa.log("WSGI"))

    stoa.write("debug/edit", {"app.py": "def application(:\n"})
    wait_for(lambda: "SyntaxError" in stoa.fact("/debug/edit")["reason"], 5, lambda: stoa.log("WSGI"))
    assert stoa.get("/debug/edit/").text.startswith("second")

    stoa.write("debug/edit", hello("third"))
    wait_for(lambda: stoa.get("/debug/edit/").text.startswith("third"), 3, lambda: stoa.log("WSGI"))
    assert "begins anew: its files were edited" in stoa.logged("WSGI")
    assert stoa.fact("/debug/edit")["generation"] == 1


def test_other_directories_are_begun_once_and_no_edit(stoa: Stoa) -> None:
    directory = stoa.write("debug/moved", hello("first"))
    stoa.create("/debug/moved", directory, WSGIDebug=1)
    stoa.eventually("/debug/moved/", text="first")

    stoa.set("/debug/moved", directory=str(stoa.write("debug/there", hello("second"))))
    assert stoa.eventually("/debug/moved/").text.startswith("second")
    stoa.set("/debug/moved", python_path=str(stoa.write("debug/lib", {"part.py": "WORD = 1"})))

    generation = stoa.fact("/debug/moved")["generation"]
    assert stays_untrue(lambda: stoa.fact("/debug/moved")["generation"] != generation, 2, 0.2)
    lines = [line for line in stoa.logged("WSGI").splitlines() if "/debug/moved" in line]
    assert not [line for line in lines if "begins anew" in line]
    assert len([line for line in lines if line.endswith("starting")]) == 3


def test_why_it_was_begun_anew_is_not_said_of_what_is_saved_later(stoa: Stoa) -> None:
    stoa.create("/debug/saved", stoa.write("debug/saved", hello("first")), WSGIDebug=1)
    stoa.eventually("/debug/saved/", text="first")
    stoa.write("debug/saved", hello("second"))
    stoa.eventually("/debug/saved/", text="second")
    assert "its files were edited" in stoa.fact("/debug/saved")["note"]

    stoa.set("/debug/saved", description="saved")

    assert stoa.fact("/debug/saved")["note"] == ""


def test_without_debug_an_edit_waits_for_a_reload(stoa: Stoa) -> None:
    stoa.create("/debug/off", stoa.write("debug/off", hello("first")))
    stoa.create("/debug/on", stoa.write("debug/on", hello("first")), WSGIDebug=1)
    stoa.eventually("/debug/off/", text="first")
    stoa.eventually("/debug/on/", text="first")

    stoa.write("debug/off", hello("second"))
    stoa.write("debug/on", hello("second"))

    stoa.eventually("/debug/on/", text="second")
    assert stoa.get("/debug/off/").text.startswith("first")


def test_an_open_websocket_does_not_hold_an_edit_up_and_is_told_to_come_again(stoa: Stoa) -> None:
    directory = stoa.write("debug/ws", {"app.py": WEBSOCKET})
    stoa.create("/debug/ws", directory, WSGIType=2, WSGIDebug=1)
    stoa.eventually("/debug/ws/", text="got")

    with open_websocket(stoa, "/debug/ws/") as connection:
        stoa.write("debug/ws", {"app.py": WEBSOCKET.replace('b"got"', 'b"edited"')})
        wait_for(lambda: stoa.get("/debug/ws/").text == "edited", 3, lambda: stoa.log("WSGI"))

        opcode, code = read_close(connection)

    assert (opcode, code) == (8, 1012)


def read_close(connection: socket.socket) -> tuple[int, int]:
    """Read one unmasked frame (RFC 6455, section 5.2); return its opcode and what a close frame says."""
    data = b""
    while len(data) < 4:
        more = connection.recv(4096)
        assert more, "closed without a word"
        data += more
    return data[0] & 15, int.from_bytes(data[2:4], "big")


BROKEN = "    raise ValueError('<b>no such page</b>')\n"
ASGI_BROKEN = """
async def application(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("only http")
    if scope["path"].endswith("/late"):
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"Internal Server Error"})
"""
WSGI_BROKEN = HELLO.partition("    start_response")[0]


@pytest.mark.parametrize(("protocol", "source"), [(1, WSGI_BROKEN), (2, ASGI_BROKEN)])
def test_an_exception_shows_its_traceback_and_nothing_else_does(stoa: Stoa, protocol: int, source: str) -> None:
    for debug in (0, 1):
        name = f"/debug/page-{protocol}-{debug}"
        stoa.create(name, stoa.write(name[1:], {"app.py": source + BROKEN}), WSGIType=protocol, WSGIDebug=debug)
        stoa.eventually(f"{name}/", status=500)

    hidden = stoa.get(f"/debug/page-{protocol}-0/", headers=BROWSER)
    shown = [stoa.get(f"/debug/page-{protocol}-1/{path}", headers=BROWSER) for path in ("", "late")]
    plain = stoa.get(f"/debug/page-{protocol}-1/")

    assert "ValueError" not in hidden.text
    for answer in shown:
        assert answer.status == 500
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "&lt;b&gt;no such page&lt;/b&gt;" in answer.text and "<b>no" not in answer.text
        assert "line 7" in answer.text or "line 9" in answer.text or "in application" in answer.text
        assert "debugpage.py" not in answer.text
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"
    assert plain.text.endswith("ValueError: <b>no such page</b>\n")
    wait_for(lambda: "ValueError: <b>no such page</b>" in stoa.logged("WSGI"), 5, "it is in the log too")
