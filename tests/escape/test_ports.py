"""An application listens beside Stoa, where browsers would send it Stoa's cookies: it may not, whatever it calls."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.accounts import host, need
from tests.serving import CHECKOUT, Stoa, free_port
from tests.waiting import wait_for
from webapps.runtime import processes

APP = {"app.py": (CHECKOUT / "tests" / "fixtureapps" / "ports" / "app.py").read_text()}
WALL = "TCP ports that the namespace does not name"
#: None of the machine's that is to be found on every machine has to be missing: a kernel without SMC says so itself.
WAYS = (
    "bind4", "bind4-any", "bind6", "bind-0", "listen4", "listen6", "mptcp", "mptcp-listen", "smc", "disconnected",
    "thread", "program", "ring", "hold", "filter",
)  # fmt: skip


@pytest.fixture(scope="module")
def tries(stoa: Stoa) -> Stoa:
    """Host the application that tries, in a namespace that names no port."""
    host(stoa, "ports", APP)
    need(stoa, WALL)
    return stoa


@pytest.fixture
def named(stoa: Stoa) -> Iterator[int]:
    """Have the namespace name a port for the test; return it."""
    port = free_port()
    limit(stoa, [[port, port]])
    yield port
    limit(stoa, [])


def limit(stoa: Stoa, ports: list[list[int]]) -> None:
    """Save the namespace with these ports, and wait for the generation that has them."""
    source = (
        "from webapps.models import Namespace, WebApp; n = Namespace.objects.get(name='USER'); "
        f"n.limits = {{'ports': {ports!r}}}; n.save(); "
        "print('REVISION', WebApp.objects.get(name='/ports').revision)"
    )
    before = stoa.fact("/ports")["pids"]
    said = stoa.command("shell", "--no-imports", "-c", source).stdout
    revision = int(said.rpartition("REVISION")[2])
    wait_for(lambda: stoa.fact("/ports").get("generation") == revision, 30, lambda: stoa.log("WSGI"))
    # What is asked at once over a connection that the front has kept is answered by the one before it.
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before), 30, lambda: stoa.log("WSGI"))


def met(stoa: Stoa, way: str, port: int = 0) -> object:
    """Return what a way met: a port where it led to one, else why not."""
    answer = stoa.get(f"/ports/?do={way}&port={port}")
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


@pytest.mark.parametrize("way", WAYS)
def test_it_listens_at_no_port(tries: Stoa, way: str) -> None:
    assert isinstance(met(tries, way, free_port()), str)


@pytest.mark.parametrize("way", ["reuse", "reuse6"])
def test_it_does_not_share_stoas_own_ports(tries: Stoa, way: str) -> None:
    assert isinstance(met(tries, way, tries.port), str)
    assert isinstance(met(tries, way, tries.portal_port), str)


@pytest.mark.parametrize("way", ["unix", "abstract", "out"])
def test_its_own_sockets_and_connections_to_others_are_as_ever(tries: Stoa, way: str) -> None:
    assert met(tries, way, tries.port) == 1


def test_the_exception_names_the_line_that_would_permit_it(tries: Stoa) -> None:
    assert met(tries, "python", 9123) == (
        "PermissionError: [Errno 13] 9123 is no port of this namespace; an administrator allows it in the namespace’s "
        "Limits by the line “ports: 9123”"
    )


def test_it_listens_where_its_namespace_names_a_port_and_nowhere_else(tries: Stoa, named: int) -> None:
    assert met(tries, "bind4", named) == named
    assert met(tries, "bind6", named) == named
    for way in ("bind4", "listen4", "bind-0", "mptcp-listen"):
        assert isinstance(met(tries, way, free_port()), str), way


def test_zero_stands_for_a_port_that_the_kernel_picks(tries: Stoa) -> None:
    limit(tries, [[0, 0]])
    try:
        assert all(isinstance(met(tries, way), int) for way in ("bind-0", "listen4", "listen6"))
        assert isinstance(met(tries, "bind4", 1234), str)
    finally:
        limit(tries, [])


def test_where_who_decides_is_gone_nothing_listens(tries: Stoa) -> None:
    pids = tries.status()["/ports"]["pids"]
    zygotes = [pid for name, pid in tries.children().items() if name.startswith("zygote")]
    for pid in zygotes:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: all(processes.started_at(pid) is None for pid in zygotes), 10)

    assert isinstance(met(tries, "listen4"), str)
    assert tries.status()["/ports"]["pids"] == pids
    limit(tries, [])  # The next generation is another zygote's.
    assert met(tries, "unix") == 1
