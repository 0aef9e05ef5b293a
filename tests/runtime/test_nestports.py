"""Who of a nest may listen where."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.patience import within
from webapps.runtime import nestports, processes

ANNOUNCE = (
    "import os, socket, sys\n"
    "sock = socket.socket(fileno=int(sys.argv[1]))\n"
    "sock.send(b'+')\n"
    "print(sock.recv(1), flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture
def ports() -> Iterator[nestports.Ports]:
    with selectors.DefaultSelector() as selector:
        yield nestports.Ports(selector)


def hear(ports: nestports.Ports) -> None:
    for key, _events in ports.selector.select(within(10)):
        key.data(key.fileobj)


def announced(ports: nestports.Ports, key: str, *before: str) -> subprocess.Popen[str]:
    """Have a process make itself known as the worker of a key."""
    link = ports.expect(key, [(9000, 9001)])
    command = [*before, sys.executable, "-c", ANNOUNCE, str(link)]
    process = subprocess.Popen(
        command, pass_fds=[link], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.close(link)
    hear(ports)
    return process


def test_who_is_in_no_namespace_of_its_own_is_nobody(ports: nestports.Ports) -> None:
    process = announced(ports, "a")
    try:
        assert ports.of(process.pid) == ()
        assert ports.of(os.getpid()) == ()
    finally:
        process.communicate(timeout=within(10))
    assert ports.of(process.pid) == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a PID namespace alone")
def test_a_worker_is_known_by_its_namespace_until_it_is_forgotten(ports: nestports.Ports) -> None:
    process = announced(ports, "a", "unshare", "--pid", "--fork", "--kill-child")
    try:
        (inside,) = processes.below(process.pid)
        assert ports.of(inside) == [(9000, 9001)]
        assert ports.of(process.pid) == ()
        ports.forget("a")
        assert ports.of(inside) == ()
    finally:
        process.communicate(timeout=within(10))


def test_who_ends_before_he_says_so_is_let_go(ports: nestports.Ports) -> None:
    os.close(ports.expect("a", [(1, 2)]))
    hear(ports)
    assert not ports.links
