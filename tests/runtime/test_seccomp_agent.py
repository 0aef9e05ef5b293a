"""Which sockets may listen, and what the filter asks about."""

from __future__ import annotations

import ctypes
import os
import select
import selectors
import socket
import struct
import threading

import pytest

from webapps.runtime import ports, seccomp, seccomp_agent, syscalls
from webapps.runtime.seccomp_agent import Agent, allows

Line = tuple[int, int, int, int]
PR_SET_NAME = 15


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
        agent = Agent(selector)
        os.close(agent.expect([]))
        for key, _events in selector.select(0):
            key.data(key.fileobj)

        assert not agent.watched
        agent.close()


def test_a_worker_keeps_none_of_the_others_filters() -> None:
    with selectors.DefaultSelector() as selector:
        agent = Agent(selector)
        theirs = agent.expect([])
        agent.close()

        with socket.socket(fileno=theirs) as link:
            assert link.recv(1) == b""


def test_a_thread_of_any_name_belongs_to_its_process() -> None:
    found: list[int] = []
    proc = os.open("/proc", os.O_PATH)

    def look() -> None:
        syscalls.prctl(PR_SET_NAME, ctypes.addressof(name))
        found.append(seccomp_agent.process_of(threading.get_native_id(), proc))

    name = ctypes.create_string_buffer(b"\xff\nTgid:\t1")
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    os.close(proc)

    assert found == [os.getpid()]


def test_it_decides_until_something_happens_or_the_time_is_over() -> None:
    with selectors.DefaultSelector() as selector:
        agent = Agent(selector)
        reading, writing = os.pipe()
        os.close(agent.expect([]))

        assert agent.serve_until({reading: select.POLLIN}, 0.05) == set()
        assert not agent.watched
        os.close(writing)
        assert agent.serve_until({reading: select.POLLIN}) == {reading}

        os.close(reading)
        agent.close()


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
    assert seccomp_agent.ASKED.size == (seccomp_agent.RECEIVE >> 16) & 0x3FFF
    assert seccomp_agent.ANSWER.size == (seccomp_agent.SEND >> 16) & 0x3FFF


def test_what_is_no_socket_is_not_kept() -> None:
    reading, writing = os.pipe()
    os.close(writing)

    with pytest.raises(OSError, match="socket"):
        seccomp_agent._as_socket(reading)

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
