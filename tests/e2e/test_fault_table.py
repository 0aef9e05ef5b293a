"""What is lost when a process of Stoa is killed or stopped, has no descriptors, loses its files or its database.

Every fault happens under a steady, counted load; what is lost is bounded here, and as measured it stands in
``docs/operations.md``: ``FAULT_TABLE=table.md FAULT_SECONDS=30 script/test tests/e2e/test_fault_table.py`` writes it.
"""

from __future__ import annotations

import base64
import http.client
import os
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests import signing
from tests.e2e.test_lost_database import emptied, kept, put_back, removed
from tests.e2e.test_replacement import ASGI_ECHO, ECHO
from tests.patience import within
from tests.serving import Stoa, describe
from tests.waiting import wait_for
from webapps.runtime import processes

BASIC = "Basic " + base64.b64encode(b"admin:secret-of-the-test").decode()
#: What is asked on and on: by what name, where.
ASKED = {
    "WSGI": ("/table/wsgi/", False),
    "ASGI": ("/table/asgi/", False),
    "guarded": ("/table/guarded/", False),
    "portal": ("/portal/login", True),
}
#: So long (seconds) a process is stopped, or the database locked, at least, besides until others have been answered.
SECONDS = float(os.environ.get("FAULT_SECONDS", "0"))
TABLE = os.environ.get("FAULT_TABLE", "")
pytestmark = pytest.mark.skipif(not TABLE, reason="it measures: FAULT_TABLE=table.md runs it")
Fault = Callable[[Stoa, Path], AbstractContextManager[None]]


class Client(threading.Thread):
    """Asks one address on and on, each time over a new connection, and keeps what was lost and how long it took."""

    def __init__(self, stoa: Stoa, name: str, cookie: str) -> None:
        super().__init__(daemon=True)
        # Not a password, which is looked at anew each minute by a process that goes after all others.
        self.headers = {"Cookie": cookie}
        path, portal = ASKED[name]
        self.name, self.path = name, path
        self.port = stoa.portal_port if portal else stoa.port
        self.stopping = False
        self.good = 0
        self.lost: list[str] = []
        self.longest = 0.0
        self.down: tuple[float, float] | None = None

    def run(self) -> None:
        """Ask until told to stop."""
        while not self.stopping:
            began = time.monotonic()
            said = self.ask()
            ended = time.monotonic()
            self.longest = max(self.longest, ended - began)
            if said:
                self.lost.append(said)
                self.down = (self.down[0] if self.down else began, ended)
            else:
                self.good += 1

    def ask(self) -> str:
        """Ask once; return what was wrong, "" where nothing was."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=within(120))
        try:
            connection.request("GET", self.path, headers=self.headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()
        return "" if answer.status == 200 else str(answer.status)


@pytest.fixture(scope="module")
def stoa() -> Iterator[Stoa]:
    with Stoa() as running:
        for name, source, protocol, methods in (
            ("wsgi", ECHO, 1, 64),
            ("asgi", ASGI_ECHO, 2, 64),
            ("guarded", ECHO, 1, 32),
        ):
            directory = running.write(f"table/{name}", {"app.py": source})
            running.create(f"/table/{name}", directory, WSGIType=protocol, AutheEnabled=methods)
            running.set(f"/table/{name}", processes_max=1)
        running.eventually("/table/wsgi/")
        running.eventually("/table/asgi/")
        running.eventually("/table/guarded/", headers={"Authorization": BASIC})
        yield running


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Collect the rows, and write them where somebody wants them."""
    rows: list[str] = []
    yield rows
    if TABLE:
        heads = ["what happens", *(f"{name}: lost, longest" for name in ASKED), "answers besides"]
        lines = [" | ".join(heads), " | ".join("---" for _ in heads), *sorted(rows)]
        Path(TABLE).write_text("".join(f"| {line} |\n" for line in lines))


# Who it happens to


def named(name: str) -> Callable[[Stoa], int]:
    return lambda stoa: stoa.children()[name]


def zygote(stoa: Stoa) -> int:
    """Return one; a start has it be there."""
    if not any(name.startswith("zygote:") for name in stoa.children()):
        stoa.command("webapp", "reload", "/table/asgi")
    return next(pid for name, pid in stoa.children().items() if name.startswith("zygote:"))


def worker_of(name: str) -> Callable[[Stoa], int]:
    """Return the process below a child that answers; of nginx one of several."""
    return lambda stoa: next(pid for pid in processes.below(stoa.children()[name]) if "passwords" not in describe(pid))


def passwords(stoa: Stoa) -> int:
    """Return the process that hashes for the gate; a wrong password has it be there."""
    wrong = {"Authorization": "Basic " + base64.b64encode(b"nobody:x").decode()}
    stoa.get("/table/guarded/", headers=wrong)

    def found() -> int:
        return next((pid for pid in processes.below(stoa.children()["gate"]) if "passwords" in describe(pid)), 0)

    return wait_for(found, 30)


VICTIMS: dict[str, Callable[[Stoa], int]] = {
    "keeper": named("keeper"),
    "log writer": named("log"),
    "supervisor": named("supervisor"),
    "nginx master": named("front"),
    "nginx worker": worker_of("front"),
    "portal": named("portal"),
    "portal worker": worker_of("portal"),
    "gate": named("gate"),
    "gate worker": worker_of("gate"),
    "passwords": passwords,
    "zygote": zygote,
}


# What happens


def killed(victim: str) -> Fault:
    @contextmanager
    def fault(stoa: Stoa, _beside: Path) -> Iterator[None]:
        os.kill(VICTIMS[victim](stoa), signal.SIGKILL)
        yield

    return fault


def stopped(victim: str) -> Fault:
    @contextmanager
    def fault(stoa: Stoa, _beside: Path) -> Iterator[None]:
        pid = VICTIMS[victim](stoa)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            if processes.started_at(pid):
                os.kill(pid, signal.SIGCONT)

    return fault


def without_descriptors(victim: str) -> Fault:
    @contextmanager
    def fault(stoa: Stoa, _beside: Path) -> Iterator[None]:
        pid = VICTIMS[victim](stoa)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), before[1]))
        try:
            yield
        finally:
            if processes.started_at(pid):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    return fault


def without_file(name: str) -> Fault:
    @contextmanager
    def fault(stoa: Stoa, _beside: Path) -> Iterator[None]:
        (stoa.home / name.format(wsgi=stoa.key_of("/table/wsgi"))).unlink()
        yield

    return fault


@contextmanager
def locked(stoa: Stoa, _beside: Path) -> Iterator[None]:
    with closing(sqlite3.connect(stoa.home / "db.sqlite3", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.execute("ROLLBACK")


def database(lose: Callable[[Path], None]) -> Fault:
    @contextmanager
    def fault(stoa: Stoa, beside: Path) -> Iterator[None]:
        kept(stoa.home, beside)
        lose(stoa.home)
        try:
            yield
        finally:
            put_back(stoa.home, beside)

    return fault


def another(home: Path) -> None:
    with closing(sqlite3.connect(home / "db.sqlite3")) as rows, rows:
        rows.execute("UPDATE webapps_change SET counter = counter + 1")
        rows.execute("DELETE FROM webapps_webapp")


NOTHING: Mapping[str, int] = {}
FRONT = dict.fromkeys(ASKED, 3)
#: An answer of the portal needs the database, and so does one of the gate whose password was not looked at lately.
ANY = 10**6
PORTAL = {"portal": ANY}
DOOR = {"guarded": ANY}
#: What is done, and how many requests each client may lose by it.
FAULTS: dict[str, tuple[Fault, Mapping[str, int]]] = {
    **{f"{name} killed": (killed(name), NOTHING) for name in VICTIMS if name not in ("keeper", "nginx master")},
    "nginx master killed": (killed("nginx master"), FRONT),
    "nginx worker killed": (killed("nginx worker"), FRONT),
    "portal worker killed": (killed("portal worker"), {"portal": 3}),
    "portal killed": (killed("portal"), {"portal": 3}),
    "gate killed": (killed("gate"), {"guarded": 3}),
    "gate worker killed": (killed("gate worker"), {"guarded": 3}),
    **{f"{name} stopped": (stopped(name), NOTHING) for name in VICTIMS},
    "portal worker stopped": (stopped("portal worker"), PORTAL),
    "gate worker stopped": (stopped("gate worker"), DOOR),
    "passwords stopped": (stopped("passwords"), DOOR),
    **{
        f"{name} without descriptors": (without_descriptors(name), NOTHING)
        for name in ("keeper", "log writer", "supervisor", "zygote")
    },
    "nginx worker without descriptors": (without_descriptors("nginx worker"), dict.fromkeys(ASKED, ANY)),
    "portal worker without descriptors": (without_descriptors("portal worker"), PORTAL),
    "gate worker without descriptors": (without_descriptors("gate worker"), DOOR),
    **{
        f"{name} removed": (without_file(name), NOTHING)
        for name in ("run/control.sock", "run/keeper.sock", "run/left.sock", "run/front/nginx.conf", "log/access.log")
    },
    "run/apps/N.sock removed": (without_file("run/apps/{wsgi}.sock"), {"WSGI": ANY}),
    "database locked": (locked, {**PORTAL, **DOOR}),
    "database removed": (database(removed), PORTAL),
    "database emptied": (database(emptied), PORTAL),
    "database replaced": (database(another), NOTHING),
}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_what_a_fault_costs(stoa: Stoa, table: list[str], name: str, tmp_path: Path) -> None:
    fault, bound = FAULTS[name]
    cookie = signing.session(stoa, "/table/guarded")
    clients = [Client(stoa, asked, cookie) for asked in ASKED]
    for client in clients:
        client.start()
    try:
        go_on(stoa, clients)
        for client in clients:
            client.longest = 0.0
        goods = [client.good for client in clients]
        with fault(stoa, tmp_path / "kept"):
            last_for(
                SECONDS if name.endswith(("stopped", "locked")) else 0.0,
                clients,
                [asked for asked in ASKED if asked not in bound],
            )
        go_on(stoa, clients)
    finally:
        for client in clients:
            client.stopping = True
        for client in clients:
            client.join(within(130))
    table.append(row(name, clients, sum(client.good for client in clients) - sum(goods)))
    lost = {client.name: client.lost for client in clients if len(client.lost) > bound.get(client.name, 0)}
    assert not lost, (lost, stoa.log("messages"))


def go_on(stoa: Stoa, clients: list[Client]) -> None:
    """Wait until each client has had some good answers more, and Stoa says that all is well."""
    enough = [client.good + 10 for client in clients]
    words = partial(say, stoa, clients)
    wait_for(lambda: all(client.good > good for client, good in zip(clients, enough, strict=True)), 60, words)
    wait_for(lambda: stoa.live() and not stoa.live()["warnings"], 60, words)


def say(stoa: Stoa, clients: list[Client]) -> str:
    return f"{ {client.name: client.lost[-3:] for client in clients} } {stoa.live()} {stoa.log('messages')}"


def last_for(seconds: float, clients: list[Client], others: list[str]) -> None:
    """Let it last: so long, and until those whom it does not concern have been answered, too."""
    until = time.monotonic() + seconds
    enough = {client.name: client.good + 20 for client in clients}

    def over() -> bool:
        answered = all(client.good > enough[client.name] for client in clients if client.name in others)
        return answered and time.monotonic() >= until

    wait_for(over, 60 + seconds, lambda: str([client.lost for client in clients]))


def row(name: str, clients: list[Client], good: int) -> str:
    """Return a row of the table: for each what was lost and for how long, and the longest that somebody waited."""
    cells = []
    for client in clients:
        down = f" within {client.down[1] - client.down[0]:.1f} s" if client.down else ""
        kinds = " ".join(sorted(set(client.lost)))[:60]
        lost = f"{len(client.lost)}{down} ({kinds})" if client.lost else "0"
        cells.append(f"{lost}, {client.longest:.1f} s")
    return " | ".join([name, *cells, str(good)])
