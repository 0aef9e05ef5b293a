"""The filter that has every listen(2) of a worker, and of all that it starts, decided outside of it (seccomp(2)).

Landlock knows bind(2) alone: listen(2) on a socket that was never bound takes a port of the kernel's choice, and
Multipath TCP is no TCP to it. A filter sees numbers, not sockets, so whoever holds the filter's listener looks
(``seccomp_agent``, seccomp_unotify(2)). Runs inside the application's process under any CPython from 3.10, so it
imports the standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from . import syscalls as kernel

SECCOMP = {"x86_64": 317, "aarch64": 277, "riscv64": 277, "loongarch64": 277}
SET_MODE_FILTER, NEW_LISTENER = 1, 8
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, ERROR, NOTIFY = 0x7FFF0000, 0x00050000, 0x7FC00000
NUMBER, ARCHITECTURE = 0, 4  # Offsets in struct seccomp_data.
#: A ring does the calls itself, which no filter sees; its number is one on every machine.
IO_URING_SETUP = 425
#: Calls of another kind that one architecture has (x32): nothing that is built today uses them.
OTHERS_FROM = {"x86_64": 0x40000000}
#: By machine: its number (AUDIT_ARCH_…) and that of its listen(2).
NATIVE = {
    "x86_64": (0xC000003E, 50), "aarch64": (0xC00000B7, 201), "riscv64": (0xC00000F3, 201),
    "loongarch64": (0xC0000102, 201),
}  # fmt: skip
#: By machine: the older one whose programs it runs too, and what listens there (socketcall(2) and listen(2)).
OLDER = {
    "x86_64": (0x40000003, (102, 363)), "aarch64": (0x40000028, (284,)), "riscv64": (0x400000F3, (201,)),
}  # fmt: skip


def program(machine: str) -> bytes:
    """Return the filter for a machine. Raises OSError where its calls are not known."""
    if machine not in NATIVE:
        raise OSError(errno.ENOSYS, f"seccomp: the calls of {machine} are not known")
    architecture, listen = NATIVE[machine]
    refused = _answer(ERROR | errno.ENOSYS)
    of_its_own = [_load(NUMBER)]
    if machine in OTHERS_FROM:
        of_its_own += [_test(AT_LEAST, OTHERS_FROM[machine], skip=1), refused]
    of_its_own += [_test(EQUAL, listen, skip=1), _answer(NOTIFY)]
    of_its_own += [_test(EQUAL, IO_URING_SETUP, skip=1), refused, _answer(ALLOW)]
    lines = [_load(ARCHITECTURE), _test(EQUAL, architecture, skip=len(of_its_own)), *of_its_own]
    if machine in OLDER:
        older, calls = OLDER[machine]
        body = [_load(NUMBER)]
        for number in (*calls, IO_URING_SETUP):
            body += [_test(EQUAL, number, skip=1), refused]
        lines += [_test(EQUAL, older, skip=len(body) + 1), *body, _answer(ALLOW)]
    return b"".join([*lines, refused])


def _load(offset: int) -> bytes:
    return struct.pack("HBBI", LOAD, 0, 0, offset)


def _test(how: int, value: int, *, skip: int) -> bytes:
    """Go on with the next line where it holds, else ``skip`` so many."""
    return struct.pack("HBBI", how, 0, skip, value)


def _answer(what: int) -> bytes:
    return struct.pack("HBBI", RETURN, 0, 0, what)


def install() -> int:
    """Put the filter into force, for ever; return the descriptor of who decides. Needs no_new_privs. Raises OSError."""
    machine = os.uname().machine
    code = ctypes.create_string_buffer(program(machine), len(program(machine)))
    described = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(code))
    flags = ctypes.c_ulong(NEW_LISTENER)
    return kernel.call("seccomp", SECCOMP[machine], ctypes.c_uint(SET_MODE_FILTER), flags, described)
