"""Where an application hangs that does not become ready."""

from __future__ import annotations

import threading
from traceback import FrameSummary

from tests.patience import within
from webapps.runtime import hanging

PLACES = ("/srv/notes", "/srv/shared")


def frame(filename: str, line: int, name: str, source: str) -> FrameSummary:
    return FrameSummary(filename, line, name, lookup_line=False, line=source)


STOAS = frame("/opt/stoa/webapps/runtime/loader.py", 7, "load", "importlib.import_module(name)")
OWN = frame("/srv/notes/web/app.py", 12, "<module>", "rows = connect()")
DEEPER = frame("/srv/shared/db.py", 3, "connect", "socket.create_connection(address)")
LIBRARYS = frame("/usr/lib/python3/socket.py", 5, "create_connection", "sock.connect(sa)")
PACKAGES = frame("/srv/notes/.venv/lib/python3.11/site-packages/flask/app.py", 9, "run", "run_simple(host, port)")
SERVERS = frame("/usr/lib/python3/socketserver.py", 8, "serve_forever", "selector.select()")


def test_the_last_line_of_the_applications_own_is_named() -> None:
    words, stack = hanging.where([STOAS, OWN, DEEPER, LIBRARYS], PLACES)

    assert words == "; it was at line 3 of db.py: socket.create_connection(address)"
    assert "loader.py" not in stack
    assert stack.index("web/app.py") < stack.index("db.py") < stack.index("socket.py")


def test_whoever_starts_a_server_is_told_what_to_do() -> None:
    words, _stack = hanging.where([STOAS, OWN, PACKAGES, SERVERS], PLACES)

    assert words.startswith("; it was at line 12 of web/app.py: rows = connect(). That is a server of its own")


def test_a_loop_of_the_workers_is_no_server_of_the_application() -> None:
    loop = frame("/usr/lib/python3/asyncio/base_events.py", 600, "run_forever", "self._run_once()")

    assert "server" not in hanging.where([STOAS, loop, OWN], PLACES)[0]


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert hanging.where([STOAS, LIBRARYS], PLACES) == ("", "")
    assert hanging.where([], PLACES) == ("", "")


def test_one_that_hangs_is_told_of_and_one_that_is_ready_is_not() -> None:
    told: list[tuple[str, str, str]] = []
    heard = threading.Event()

    def tell(*words: str) -> None:
        told.append((words[0], words[1], words[2]))
        heard.set()

    hanging.watch(1, (str(hanging.__file__).rpartition("/")[0],), tell)()
    hanging.watch(1, (__file__.rpartition("/")[0],), tell)

    assert heard.wait(within(20))
    assert len(told) == 1
    assert told[0][0] == "it was not ready within 1 seconds and was stopped"
    assert "of test_hanging.py: " in told[0][1] and "Stack (most recent call last)" in told[0][2]
