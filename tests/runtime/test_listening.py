"""Which sockets may listen, and what the filter asks about."""

from __future__ import annotations

import os
import selectors
import socket
import struct

import pytest

from webapps.runtime import listening, ports, seccomp
from webapps.runtime.listening import Listening, allows

Line = tuple[int, int, int, int]


def judged(machine: str, architecture: int, number: int) -> int:
    """Run the filter as the kernel does; return its answer."""
    lines: list[Line] = list(struct.iter_unpack("HBBI", seccomp.program(machine)))
    at = held = 0
    while True:
        how, yes, no, value = lines[at]
        at += 1
        if how == seccomp.RETURN:
            return value
        if how == seccomp.LOAD:
            held = architecture if value == seccomp.ARCHITECTURE else number
        else:
            at += yes if (held == value if how == seccomp.EQUAL else held >= value) else no


@pytest.mark.parametrize("machine", sorted(seccomp.NATIVE))
def test_the_filter_asks_about_listen_and_lets_all_else_pass_but_rings(machine: str) -> None:
    architecture, listen = seccomp.NATIVE[machine]

    assert judged(machine, architecture, listen) == seccomp.NOTIFY
    assert judged(machine, architecture, listen + 1) == seccomp.ALLOW
    assert judged(machine, architecture, seccomp.IO_URING_SETUP) & seccomp.ERROR
    assert judged(machine, 0x12345678, 1) != seccomp.ALLOW


def test_calls_of_another_kind_are_no_way_around_it() -> None:
    native, older = seccomp.NATIVE["x86_64"][0], seccomp.OLDER["x86_64"][0]

    assert judged("x86_64", native, 0x40000000 | 50) not in (seccomp.ALLOW, seccomp.NOTIFY)
    assert judged("x86_64", older, 102) not in (seccomp.ALLOW, seccomp.NOTIFY)
    assert judged("x86_64", older, 363) not in (seccomp.ALLOW, seccomp.NOTIFY)
    assert judged("x86_64", older, 4) == seccomp.ALLOW


def test_a_machine_whose_calls_are_not_known_has_no_filter() -> None:
    with pytest.raises(OSError, match="m68k are not known"):
        seccomp.program("m68k")


def test_ports_are_those_that_are_named() -> None:
    assert allows([(9000, 9010)], 9010)
    assert not allows([(9000, 9010)], 9011)
    assert not allows([], 0)


def test_zero_names_those_that_the_kernel_picks_alone() -> None:
    with socket.socket() as picked:
        picked.bind(("127.0.0.1", 0))
        assert allows([(0, 0)], picked.getsockname()[1])
    assert allows([(0, 0)], 0)
    assert not allows([(0, 0)], 80)
    assert not allows([(9000, 9010)], 0)


def test_a_worker_that_ends_before_it_has_a_filter_is_forgotten() -> None:
    with selectors.DefaultSelector() as selector:
        judges = Listening(selector)
        os.close(judges.expect([]))
        for key, _events in selector.select(0):
            key.data(key.fileobj)

        assert not judges.watched


def test_a_worker_keeps_none_of_the_others_filters() -> None:
    with selectors.DefaultSelector() as selector:
        judges = Listening(selector)
        theirs = judges.expect([])
        judges.close()

        with socket.socket(fileno=theirs) as link:
            assert link.recv(1) == b""


@pytest.mark.parametrize("address", [("127.0.0.1", 9001), ("", 0)])
def test_python_says_which_line_would_permit_a_port(address: tuple[str, int]) -> None:
    with socket.socket() as sock, pytest.raises(PermissionError, match=f"“ports: {address[1]}”") as raised:
        ports.check(((9000, 9000),), sock, address)

    assert ports.refused(raised.value)


def test_other_sockets_are_no_matter_of_ports() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket(socket.AF_UNIX) as own:
        ports.check((), datagrams, ("127.0.0.1", 0))
        ports.check((), own, "x")
    with socket.socket(socket.AF_INET6) as six:
        ports.check(((0, 0), (9000, 9010)), six, ("::1", 9005, 0, 0))


def test_the_structures_are_as_long_as_the_kernels() -> None:
    """Their length is part of the number of each ioctl(2) (_IOC)."""
    assert listening.ASKED.size == (listening.RECEIVE >> 16) & 0x3FFF
    assert listening.ANSWER.size == (listening.SEND >> 16) & 0x3FFF
