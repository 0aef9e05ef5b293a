"""Decide for workers, from outside of them, which of their sockets may listen (seccomp_unotify(2)).

Cookies know no ports (RFC 6265, section 8.5): who listens on another port of this host is sent those of Stoa. A worker
hands over the listener of its filter (``seccomp``); each listen(2) of it, and of all that it starts, waits for an
answer from here. The socket is fetched and made to listen by us (pidfd_getfd(2)), so that nothing else can be put into
its place meanwhile. Where nobody decides any more the call fails.

Runs in the zygote, around a sandbox, and in the trial of the walls, under any CPython from 3.10; it imports the
standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import select
import selectors
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import syscalls as kernel

RECEIVE, SEND, IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
ASKED, ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
PIDFD_GETFD = 438
SO_DOMAIN = 39
AF_SMC = 43  # TCP, where the other side has none of it.
INTERNET = (socket.AF_INET, socket.AF_INET6, AF_SMC)
#: What it is called that a worker is sent for it.
LINK = "agent"
#: Stands for the port that the kernel picks.
ANY = 0
PICKED = "/proc/sys/net/ipv4/ip_local_port_range"

Ports = Sequence[tuple[int, int]]
PortsOf = Callable[[int], Ports]


class Agent:
    """Who decides for all workers of one zygote, or for a command; their filters are watched by a selector.

    It holds the /proc of when it is made: a sandbox takes the root away that it shares with us (``ownroot``).
    """

    def __init__(self, selector: selectors.DefaultSelector) -> None:
        self.selector = selector
        self.proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
        self.watched: set[socket.socket | int] = set()

    def expect(self, ports: Ports) -> int:
        """Return what a worker hands over its filter's listener by (``hand_over``); it may listen at these ports."""
        ours, theirs = socket.socketpair()
        self._watch(ours, functools.partial(self._take_over, ports))
        return theirs.detach()

    def watch(self, listener: int, ports_of: PortsOf) -> None:
        """Decide for a filter; ``ports_of`` says at which ports a process may listen."""
        self._watch(listener, functools.partial(self._decide, ports_of))

    def close(self) -> None:
        """Close all, in a process that decides nothing: a worker that holds one would decide for itself."""
        for thing in self.watched:
            _close(thing)
        self.watched.clear()
        os.close(self.proc)

    def decide(self) -> None:
        """Answer what has been asked by now, where nobody else looks at the selector."""
        for key, _events in self.selector.select(0):
            key.data(key.fileobj)

    def serve_until(self, ends: Mapping[int, int], seconds: float | None = None) -> set[int]:
        """Decide until something that is waited for (poll(2)) is at a descriptor, and return those; none in time."""
        poll, ours = select.poll(), self.selector.fileno()
        for fd, events in {**ends, ours: select.POLLIN}.items():
            poll.register(fd, events)
        over = None if seconds is None else time.monotonic() + seconds
        while True:
            ready = {fd for fd, _event in poll.poll(over and 1000 * max(0.0, over - time.monotonic()))}
            if ours in ready:
                self.decide()
            if ready - {ours} or (over and time.monotonic() >= over):
                return ready - {ours}

    def _watch(self, thing: socket.socket | int, then: Any) -> None:
        self.watched.add(thing)
        self.selector.register(thing, selectors.EVENT_READ, then)

    def _forget(self, thing: socket.socket | int) -> None:
        self.selector.unregister(thing)
        self.watched.discard(thing)
        _close(thing)

    def _take_over(self, ports: Ports, link: socket.socket) -> None:
        """Take the listener of a worker's filter; one that has ended before has none."""
        fds: list[int] = []
        with contextlib.suppress(OSError):
            _said, fds, _flags, _address = socket.recv_fds(link, 1, 1)
        self._forget(link)
        for fd in fds:
            self.watch(fd, lambda _process: ports)

    def _decide(self, ports_of: PortsOf, fd: int) -> None:
        """Answer one call; nobody is left who could ask when the last process has ended."""
        if _has_ended(fd):
            self._forget(fd)
            return
        with contextlib.suppress(OSError):  # Who asked has ended meanwhile.
            asked = bytearray(ASKED.size)
            fcntl.ioctl(fd, RECEIVE, asked)
            number, task, _flags, _call, _architecture, _at, sock, backlog, *_rest = ASKED.unpack(asked)
            process = process_of(task, self.proc)
            find = functools.partial(self._socket_of, fd, number, process, sock & 0xFFFFFFFF)
            error = _listen(find, backlog & 0x7FFFFFFF, ports_of(process))
            fcntl.ioctl(fd, SEND, ANSWER.pack(number, 0, -error, 0))

    def _socket_of(self, fd: int, number: int, process: int, sock: int) -> socket.socket:
        """Return a copy of a process's socket, which is the same socket. Raises OSError."""
        hold = kernel.pidfd_open(process)
        try:
            fcntl.ioctl(fd, IS_VALID, struct.pack("=Q", number))  # So it is not another one's process id by now.
            return _as_socket(kernel.call("pidfd_getfd", PIDFD_GETFD, hold, sock, 0))
        finally:
            _close(hold)


def hand_over(link: int, listener: int) -> None:
    """Give the listener of our filter to who decides, and keep none."""
    with socket.socket(fileno=link) as sock:
        socket.send_fds(sock, [b"+"], [listener])
    _close(listener)


def announce(link: int) -> None:
    """Say that we are the worker that may listen at some ports, where who decides has our filter already."""
    with socket.socket(fileno=link) as sock:
        sock.send(b"+")
        sock.recv(1)


def allows(ports: Ports, port: int) -> bool:
    """Say whether a socket may listen at a port; 0 is one that the kernel has yet to pick."""
    if any(first <= port <= last for first, last in ports):
        return True
    return any(not first for first, _last in ports) and _is_picked(port)


def _is_picked(port: int) -> bool:
    with open(PICKED) as file:
        first, last = map(int, file.read().split())
    return first <= port <= last


def _listen(find: Callable[[], socket.socket], backlog: int, ports: Ports) -> int:
    """Have the socket of a process that waits for us listen; return why it does not (errno), 0 where it does."""
    try:
        with find() as found:
            if found.getsockopt(socket.SOL_SOCKET, SO_DOMAIN) not in INTERNET:
                found.listen(backlog)
                return 0
            if not allows(ports, found.getsockname()[1]):
                return errno.EACCES
            found.listen(backlog)
            if not allows(ports, found.getsockname()[1]):  # Another thread has had it let go of its port meanwhile.
                found.shutdown(socket.SHUT_RDWR)
                return errno.EACCES
            return 0
    except OSError as error:
        return error.errno or errno.EACCES


def process_of(task: int, proc: int) -> int:
    """Return the process of a thread, which may have any bytes for its name (prctl(2), PR_SET_NAME). Raises OSError."""
    with open(os.open(f"{task}/status", os.O_RDONLY, dir_fd=proc), "rb") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(b"Tgid:"))


def _as_socket(fd: int) -> socket.socket:
    """Take a descriptor over; what is no socket is closed (it may be any file). Raises OSError."""
    try:
        return socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        raise


def _has_ended(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(event & select.POLLHUP for _fd, event in poll.poll(0))


def _close(thing: socket.socket | int) -> None:
    if isinstance(thing, socket.socket):
        thing.close()
    else:
        os.close(thing)


# The trial


def try_out() -> None:
    """Do behind the filter what must go, and what must not. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as own:
        own.bind("")
        own.listen()
    with socket.socket() as never_bound:
        try:
            never_bound.listen()
        except PermissionError:
            return
    raise OSError(errno.ENOTSUP, "listen(2) is not kept from the kernel's ports")
