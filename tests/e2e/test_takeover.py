"""The keeper is killed under a steady load: what is awake serves on, and the next start takes over without a loss."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.test_lifecycle import hello
from tests.e2e.test_replacement import ASGI_ECHO, ECHO, Asking, failures_of, have_done
from tests.patience import within
from tests.serving import Stoa, free_port
from tests.waiting import wait_for
from webapps.runtime import processes

PRINTING = ECHO.replace(
    "note(body)\n    answer", "note(body)\n    print(body.split(b' ')[0].decode()) if body else None\n    answer"
)
NAMES = {
    "/taken/wsgi": (ECHO, 1),
    "/taken/printing": (PRINTING, 1),
    "/taken/other": (ECHO, 1),
    "/taken/asgi": (ASGI_ECHO, 2),
    "/taken/more": (ASGI_ECHO, 2),
}
SLOW = f"import time\nprint('begun', flush=True)\ntime.sleep(1)\nprint('loaded', flush=True)\n{ECHO}"
CLOSED = "/taken/closed"


@contextlib.contextmanager
def applications(wanted: Mapping[str, tuple[str, int]] = NAMES) -> Iterator[Stoa]:
    """Applications that run, and one that asks for a sign-in."""
    with Stoa() as stoa:
        for name, (source, protocol) in wanted.items():
            stoa.create(name, stoa.write(name[1:], {"app.py": source}), WSGIType=protocol)
            stoa.eventually(f"{name}/")
        stoa.create(CLOSED, stoa.write(CLOSED[1:], hello()), AutheEnabled=32)
        stoa.eventually(f"{CLOSED}/", status=401)
        yield stoa


class Load:
    """Clients that ask all applications on and on, over kept connections and new ones."""

    def __init__(self, stoa: Stoa, names: Iterable[str] = tuple(NAMES)) -> None:
        self.stoa = stoa
        self.names = tuple(names)
        kinds = [(name, kept) for name in self.names for kept in (True, False)]
        self.clients = [Asking(stoa, f"{name}/", at, kept=kept) for at, (name, kept) in enumerate(kinds)]
        self.stopping = threading.Event()
        self.refused: Counter[int] = Counter()
        self.stranger = threading.Thread(target=self._ask_the_closed)

    def _ask_the_closed(self) -> None:
        while not self.stopping.is_set():
            self.refused[self.stoa.get(f"{CLOSED}/").status] += 1

    def __enter__(self) -> Load:
        for thread in (*self.clients, self.stranger):
            thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stopping.set()
        for client in self.clients:
            client.stopping = True
        for thread in (*self.clients, self.stranger):
            thread.join(within(40))

    def goes_on(self, requests: int = 50) -> None:
        """Wait until every client has been answered so often from now on."""
        enough = [client.done + requests for client in self.clients]
        wait_for(partial(have_done, self.clients, enough), 60, lambda: f"{failures_of(self.clients)}")

    def check(self) -> None:
        """Have every request answered once."""
        assert failures_of(self.clients) == []
        assert self.refused.keys() == {401}
        for name in self.names:
            posts = (self.stoa.home / "csp" / name[1:] / "posts").read_text().split()
            assert Counter(posts) == Counter(self.posts_of(name))

    def posts_of(self, name: str) -> list[str]:
        """Return what was sent to an application, each by its own word."""
        return [post for client in self.clients if client.path == f"{name}/" for post in client.posts]


def everybody(stoa: Stoa) -> dict[int, int]:
    """Return the processes of this Stoa with the times of their starts."""
    found = {pid: processes.started_at(pid) for pid in processes.marked(stoa.run_dir)}
    return {pid: start for pid, start in found.items() if start is not None}


def have_gone(left: dict[int, int]) -> bool:
    return not any(processes.is_alive(pid, start) for pid, start in left.items())


def words_of(left: dict[int, int]) -> str:
    alive = [pid for pid, start in left.items() if processes.is_alive(pid, start)]
    return "".join(f"{pid} {Path(f'/proc/{pid}/cmdline').read_bytes()!r}\n" for pid in alive)


def running(stoa: Stoa) -> dict[str, list[int]]:
    facts = {name: stoa.fact(name) for name in NAMES}
    return {name: fact["pids"] for name, fact in facts.items() if fact.get("state") == "running"}


def printed(stoa: Stoa, name: str) -> list[str]:
    """Return the words that an application printed, each on a line of its own."""
    return re.findall(rf"^\S+ {name} g\d+ out (.+)$", stoa.logged("WSGI"), re.MULTILINE)


def all_replaced(stoa: Stoa, before: dict[str, list[int]]) -> bool:
    now = running(stoa)
    return now.keys() == NAMES.keys() and not any(set(now[name]) & set(before[name]) for name in NAMES)


def test_no_request_is_lost_when_the_keeper_is_killed_and_stoa_is_started_again() -> None:
    with applications() as stoa:
        with Load(stoa) as load:
            load.goes_on()
            before, left = running(stoa), everybody(stoa)

            stoa.kill()
            load.goes_on(300)
            stoa.start()

            wait_for(
                partial(all_replaced, stoa, before), 60, lambda: f"{before} {running(stoa)} {stoa.log('messages')}"
            )
            wait_for(partial(have_gone, left), 60, lambda: words_of(left))
            load.goes_on()
        load.check()
        posts = Counter(load.posts_of("/taken/printing"))
        # The last lines are on their way to the log for a moment (logwriter.NAP).
        wait_for(
            lambda: Counter(printed(stoa, "/taken/printing")) == posts,
            10,
            lambda: f"{posts - Counter(printed(stoa, '/taken/printing'))} {stoa.log('messages')}",
        )
        assert stoa.stop() == 0
        assert processes.marked(stoa.run_dir) == []


def test_no_request_is_lost_when_another_one_replaces_the_stoa_that_runs() -> None:
    with applications() as stoa:
        with Load(stoa) as load:
            load.goes_on()
            before, left = running(stoa), everybody(stoa)

            stoa.replace()

            wait_for(partial(all_replaced, stoa, before), 60, lambda: f"{before} {running(stoa)}")
            wait_for(partial(have_gone, left), 60, lambda: words_of(left))
            load.goes_on()
        load.check()


def test_replacing_nobody_is_starting() -> None:
    with Stoa() as stoa:
        assert stoa.stop() == 0
        stoa.start("--replace")
        assert stoa.get("/").status == 404


def test_a_second_kill_in_the_middle_of_it_loses_nothing_either() -> None:
    with applications() as stoa:
        with Load(stoa) as load:
            load.goes_on()
            left = everybody(stoa)
            stoa.kill()
            said = stoa.logged("messages").count("is taken over")
            keeper = begin_to_start(stoa)
            wait_for(lambda: stoa.logged("messages").count("is taken over") > said, 30, lambda: stoa.log("messages"))
            left |= everybody(stoa)

            keeper.send_signal(signal.SIGKILL)
            keeper.wait(within(10))
            stoa.start()

            wait_for(partial(have_gone, left), 60, lambda: words_of(left))
            load.goes_on()
        load.check()


@pytest.mark.parametrize("heard", [True, False])
def test_a_newcomer_that_was_ready_when_nobody_heard_it_loses_nothing(heard: bool) -> None:
    name = "/taken/slow"
    with applications({name: (SLOW, 1)}) as stoa:
        with Load(stoa, [name]) as load:
            stoa.command("webapp", "reload", name)
            wait_for(lambda: printed(stoa, name).count("begun") == 2, 10)
            wait_for(lambda: not heard or stoa.fact(name).get("generation") == 2, 10)
            left = everybody(stoa)

            stoa.kill()
            wait_for(lambda: printed(stoa, name).count("loaded") == 2, 10)
            load.goes_on()
            stoa.start()

            wait_for(partial(have_gone, left), 60, lambda: words_of(left))
            load.goes_on()
        load.check()
        assert stoa.status()[name]["generation"] == 2


def begin_to_start(stoa: Stoa) -> subprocess.Popen[bytes]:
    """Start, and wait for nothing."""
    argv = [*stoa.manage("serve"), "--port", str(stoa.port), "--portal-port", str(stoa.portal_port)]
    return subprocess.Popen(argv, env=stoa._environment(), stdin=subprocess.DEVNULL, start_new_session=True)


def test_at_other_ports_the_applications_go_on_and_the_old_ports_are_free() -> None:
    with Stoa() as stoa:
        stoa.create("/moved", stoa.write("moved", hello()))
        stoa.eventually("/moved/")
        left, port = everybody(stoa), stoa.port
        stoa.kill()
        stoa.port = free_port()

        stoa.start()

        assert stoa.eventually("/moved/").text.startswith("hello")
        wait_for(partial(have_gone, left), 60, lambda: words_of(left))
        stoa.stop()
        stoa.port = port
        stoa.start()
        stoa.eventually("/moved/")


def test_an_application_that_sleeps_is_woken_by_who_called_while_nobody_could_wake_it() -> None:
    with Stoa() as stoa:
        stoa.create("/asleep", stoa.write("asleep", hello()))
        stoa.set("/asleep", processes_min=0, sleep_after=2)
        stoa.wait_for_state("/asleep", "asleep")
        wait_for(lambda: stoa.live()["front"]["settled"], 20)  # Else its route may not be there yet.
        stoa.kill()
        answers: list[int] = []
        caller = threading.Thread(target=lambda: answers.append(stoa.get("/asleep/").status))
        caller.start()

        stoa.start()

        caller.join(within(30))
        assert answers == [200]


def test_where_the_log_writer_was_killed_too_all_is_ended_and_started_anew() -> None:
    with Stoa() as stoa:
        stoa.create("/one", stoa.write("one", hello()))
        stoa.eventually("/one/")
        left, log_writer = everybody(stoa), stoa.pid_of("log")
        stoa.kill()
        os.kill(log_writer, signal.SIGKILL)

        stoa.start()

        assert any("that an earlier Stoa left behind" in line for line in stoa.output)
        assert have_gone(left)
        stoa.eventually("/one/")
