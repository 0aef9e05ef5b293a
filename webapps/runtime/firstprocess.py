"""The first process of a worker's PID namespace: it waits for the worker's end, and the namespace ends with it.

It is a program of one page that lies in memory (memfd_create(2)), so it costs next to nothing. Where the machine does
not execute it, a copy of the process that asks goes on as the first one, which keeps what the zygote writes over
later. Either way it has nothing open but a hold on the worker, no rights, and little of everything else. Runs inside
the application's process under any CPython from 3.10, so it imports the standard library only.

The program reads 16 bytes from descriptor 0, a socket, and writes them to 1: so the next process has the number that
they say. It gives up its capabilities, answers ``IN_PLACE``, receives one byte with a pidfd (pidfd_open(2)), waits for
the end of that process, and ends; earlier where the socket is closed. Its source is in ``tests/data/first_process``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import socket
import struct
from collections.abc import Iterator
from typing import NoReturn

from . import syscalls as kernel

NEXT = "/proc/sys/kernel/ns_last_pid"
IN_PLACE = b"+"
NAME = "stoa-first-process"
# Of its first environment it keeps this alone, by which Stoa finds its processes.
MARK = "HOSTED_BY"
# What it may have: a worker without Landlock could make it its own by ptrace(2).
LITTLE = {resource.RLIMIT_NPROC: 0, resource.RLIMIT_NOFILE: 16, resource.RLIMIT_DATA: 1 << 30}

# The machine's number in an executable file (elf.h, e_machine), and the program.
PROGRAMS = {
    "x86_64": (62, """
        4881ec800000004889e76a105931c0f348ab31ff488d7424606a105a0f056a015f89f80f056a03580f054889e7c70722050820488d7424086a7e
        580f0583242400488d742470c6062b31ff6a015a89d00f05488d4424404889442410488954241848893048895008488d4424504889442420c644
        2428184889e631d26a2f580f05ffc875186a03580f054889e76a015e89378977046aff5a6a07580f0531ffb8e70000000f05
    """),
    "aarch64": (183, """
        ff0302d1ff7f00a9ff7f01a9ff7f02a9ff7f03a9ff7f04a9ff7f05a9ff7f06a9ff7f07a9000080d2e1830191020280d2e80780d2010000d4
        200080d2080880d2010000d4200080d2280780d2010000d449a480520901a472e90300b9e0030091e1230091680b80d2010000d4ff0300b9
        69058052e9c30139000080d2e1c30191220080d2080880d2010000d4e90301912a0080d2e92b01a9e12b04a9e94301910b0380d2e92f02a9
        000080d2e1030091020080d2881a80d2010000d41f0400f161010054000080d2280780d2010000d4ea2b0029e0030091210080d2020080d2
        030080d2280980d2010000d4000080d2c80b80d2010000d4
    """),
}  # fmt: skip
BASE, PAGE, HEADERS = 0x400000, 0x10000, 64 + 2 * 56
PT_LOAD, PT_GNU_STACK, EXECUTABLE = 1, 0x6474E551, 2
READ, WRITE, EXECUTE = 4, 2, 1
MFD_EXEC = 0x10
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def begin() -> socket.socket:
    """Begin the PID namespace that our children will have (unshare(2)); return how its first process is spoken to.

    The process that we fork next will have the id there that follows the first one's outside: applications name files
    and locks by it. So no two workers have the same, and mostly it is what is known outside. Where the kernel was
    built without this (CONFIG_CHECKPOINT_RESTORE) each worker is process 2. Raises OSError.
    """
    ours, theirs = socket.socketpair()
    with contextlib.ExitStack() as unless_it_is_there:
        unless_it_is_there.enter_context(ours)
        with theirs, _what_it_inherits():
            first = _execute(theirs) or _fork(theirs)
        ours.send(b"%16d" % first)
        if ours.recv(1) != IN_PLACE:
            raise OSError("the first process of its PID namespace has ended")
        for kind, most in LITTLE.items():
            resource.prlimit(first, kind, (most, most))
        unless_it_is_there.pop_all()
    return ours


def hold(first: socket.socket, worker: int) -> None:
    """Have the namespace last as long as this process; it ends at once when the socket is closed before."""
    socket.send_fds(first, [IN_PLACE], [kernel.pidfd_open(worker)])


@contextlib.contextmanager
def _what_it_inherits() -> Iterator[None]:
    """Orphans leave no zombies, it works in no directory of ours, and no program gives it any rights."""
    os.chdir("/")
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


# The program


def program(machine: str) -> bytes:
    """Return the executable file for a kind of machine (elf(5)), nothing where we have none."""
    if machine not in PROGRAMS:
        return b""
    number, text = PROGRAMS[machine]
    size = HEADERS + len(code := bytes.fromhex(text))
    ident = b"\x7fELF" + bytes((2, 1, 1))
    head = struct.pack("<16s2HI3QI6H", ident, EXECUTABLE, number, 1, BASE + HEADERS, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<2I6Q", PT_LOAD, READ | EXECUTE, 0, BASE, BASE, size, size, PAGE)
    stack = struct.pack("<2I6Q", PT_GNU_STACK, READ | WRITE, 0, 0, 0, 0, 0, 16)
    return head + load + stack + code


def _execute(sock: socket.socket) -> int:
    """Execute the program without copying this process (posix_spawn(3)); return its id, 0 where that is refused."""
    text = program(os.uname().machine)
    if not text or not hasattr(os, "memfd_create"):
        return 0
    try:
        with open(_in_memory(), "wb", buffering=0) as file, open(_next(), "wb", buffering=0) as following:
            file.write(text)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, SEALS)
            kernel.close_on_exec()
            actions = [(os.POSIX_SPAWN_DUP2, sock.fileno(), 0), (os.POSIX_SPAWN_DUP2, following.fileno(), 1)]
            environment = {MARK: os.environ[MARK]} if MARK in os.environ else {}
            with _may_number():
                return os.posix_spawn(f"/proc/self/fd/{file.fileno()}", [NAME], environment, file_actions=actions)
    except OSError:
        return 0


def _in_memory() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(NAME, flags | MFD_EXEC)
    except OSError:  # Before Linux 6.3 all of them could be executed, and nobody could say so.
        return os.memfd_create(NAME, flags)


def _next() -> int:
    try:
        return os.open(NEXT, os.O_WRONLY)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


@contextlib.contextmanager
def _may_number() -> Iterator[None]:
    """Let what is executed keep the one right that numbering needs, also where it is root."""
    bits = kernel.prctl(kernel.PR_GET_SECUREBITS)
    kernel.prctl(kernel.PR_SET_SECUREBITS, bits | kernel.SECBIT_NOROOT)
    kernel.hand_on(kernel.CAP_SYS_ADMIN)
    try:
        yield
    finally:
        kernel.hand_on()
        kernel.prctl(kernel.PR_SET_SECUREBITS, bits)


# The copy of ourselves


def _fork(sock: socket.socket) -> int:
    pid = os.fork()
    if pid == 0:
        _be_first(sock)
    return pid


def _be_first(sock: socket.socket) -> NoReturn:
    """Do as the program does."""
    try:
        with open(_next(), "wb", buffering=0) as following, contextlib.suppress(OSError):
            following.write(sock.recv(16))
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd != sock.fileno():
                with contextlib.suppress(OSError):
                    os.close(fd)
        kernel.keep_capabilities(())
        sock.send(IN_PLACE)
        _said, holds, _flags, _address = socket.recv_fds(sock, 1, 1)
        sock.close()
        for hold in holds:
            kernel.wait_for_end(hold)
    finally:
        os._exit(0)
