"""The system calls that walls are made of and that Python has no words for.

Runs inside the application's process under any CPython from 3.10, so it imports the standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import stat
import struct
from collections.abc import Iterable

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000
CLONE_NEWIPC = 0x08000000
MS_BIND, MS_REC, MS_PRIVATE, MS_REMOUNT = 4096, 16384, 1 << 18, 32
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_RDONLY = 2, 4, 8, 1
MNT_DETACH = 2
PR_SET_NO_NEW_PRIVS, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 38, 3, 4, 24
PR_SET_CHILD_SUBREAPER = 36
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 47, 2, 4
PR_GET_SECUREBITS, PR_SET_SECUREBITS, SECBIT_NOROOT = 27, 28, 1
CAP_SYS_ADMIN = 21
CAPABILITY_VERSION_3 = 0x20080522
AT_EMPTY_PATH, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 0x1000, 0x8000, 0x1
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH, AT_FDCWD = 1, 4, -100
# The newer calls have one number on every machine; pivot_root(2) has one for each.
PIDFD_OPEN, CLOSE_RANGE, MOUNT_SETATTR, CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 434, 436, 442, 444, 445, 446
OPEN_TREE, MOVE_MOUNT = 428, 429
CLOSE_RANGE_CLOEXEC = 4
PIVOT_ROOT = {
    "x86_64": 155, "aarch64": 41, "riscv64": 41, "loongarch64": 41, "i686": 217, "armv7l": 218, "ppc64le": 203,
    "s390x": 217,
}  # fmt: skip
KEYCTL = {
    "x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219, "i686": 288, "armv7l": 311, "ppc64le": 271,
    "s390x": 280,
}  # fmt: skip
KEYCTL_JOIN_SESSION_KEYRING = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _syscall(what: str, number: int, *arguments: object) -> int:
    return _checked(_libc.syscall(ctypes.c_long(number), *arguments), what)


def call(what: str, number: int, *arguments: object) -> int:
    """Make a system call that has no function of its own here. Raises OSError."""
    return _syscall(what, number, *arguments)


def unshare(flags: int) -> None:
    """Leave the namespaces that are shared with others (unshare(2)). Raises OSError."""
    _checked(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount (mount(2)). Raises OSError."""
    words = [os.fsencode(word) if word else None for word in (source, target, kind)]
    _checked(
        _libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(data) if data else None), f"mount {source} on {target}"
    )


def held(path: str, root: str = "") -> int:
    """Return a descriptor of what lies at just this path below a root, -1 where nothing does.

    It is opened by its name and asked for its name: what an application may have put in its place meanwhile, or in that
    of a directory on the way, has another one. Raises OSError then.
    """
    try:
        fd = os.open(root + path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return -1
    found = os.readlink(f"{root}/proc/self/fd/{fd}")
    if found == root + path:
        return fd
    os.close(fd)
    raise OSError(errno.ELOOP, f"{path} leads to {found[len(root) :]} by a link that was not there a moment ago")


def unmount(target: str) -> None:
    """Take a mount with all below it away (umount2(2)). Raises OSError."""
    _checked(_libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def read_only(path: str, *, below: bool = True) -> None:
    """Make a mount read-only, whatever else it forbids (mount_setattr(2), Linux 5.12). Raises OSError."""
    attributes = struct.pack("4Q", MOUNT_ATTR_RDONLY, 0, 0, 0)
    flags = AT_RECURSIVE if below else 0
    _syscall(f"mount_setattr {path}", MOUNT_SETATTR, -100, os.fsencode(path), flags, attributes, len(attributes))


def open_tree(path: str) -> int:
    """Return a descriptor of a copy of a mount with all below it, mounted nowhere (open_tree(2)). Raises OSError."""
    flags = ctypes.c_uint(OPEN_TREE_CLONE | os.O_CLOEXEC | AT_RECURSIVE)
    return _syscall(f"open_tree {path}", OPEN_TREE, AT_FDCWD, os.fsencode(path), flags)


def move_mount(tree: int, path: str) -> None:
    """Mount what a descriptor of a tree stands for (move_mount(2)). Raises OSError."""
    flags = ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH)
    _syscall(f"move_mount {path}", MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(path), flags)


def pivot_root(new: str, old: str) -> None:
    """Make ``new`` the root and put the old one at ``old`` (pivot_root(2)). Raises OSError."""
    number = PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root is not known for {os.uname().machine}")
    _syscall("pivot_root", number, os.fsencode(new), os.fsencode(old))


def leave_session_keyring() -> None:
    """Have a session keyring of our own that is empty (session-keyring(7)), unless the kernel has none to give."""
    if number := KEYCTL.get(os.uname().machine):
        _libc.syscall(ctypes.c_long(number), ctypes.c_long(KEYCTL_JOIN_SESSION_KEYRING), None)


def prctl(option: int, *arguments: int) -> int:
    """Say something of this process (prctl(2)). Raises OSError."""
    numbers = [ctypes.c_ulong(number) for number in (*arguments, 0, 0, 0, 0)[:4]]
    return _checked(_libc.prctl(option, *numbers), f"prctl {option}")


def pidfd_open(pid: int) -> int:
    """Return a descriptor of a process (pidfd_open(2)); not every interpreter's os has it. Raises OSError."""
    return _syscall("pidfd_open", PIDFD_OPEN, pid, ctypes.c_uint(0))


def wait_for_end(pidfd: int) -> None:
    """Wait until the process has ended."""
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    ended.poll()


def close_on_exec() -> None:
    """Leave nothing open to a program that we execute (close_range(2), Linux 5.11). Raises OSError."""
    whole = ctypes.c_uint(0), ctypes.c_uint(0xFFFFFFFF)
    _syscall("close_range", CLOSE_RANGE, *whole, ctypes.c_uint(CLOSE_RANGE_CLOEXEC))


def keep_capabilities(kept: Iterable[int]) -> None:
    """Give up every capability but ``kept``, for this process and all that it starts (capabilities(7))."""
    wanted = set(kept)
    for number in range(64):
        if number not in wanted and _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0:
            if ctypes.get_errno() == errno.EINVAL:
                break  # The kernel knows no more of them.
            _checked(-1, f"prctl {PR_CAPBSET_DROP}")
    set_capabilities(sum(1 << number for number in wanted) & permitted())


def set_capabilities(left: int, handed_on: int = 0) -> None:
    """Have these capabilities, as bits, and no others. Raises OSError."""
    _libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    low, high = left & 0xFFFFFFFF, left >> 32
    inherited = handed_on & 0xFFFFFFFF, handed_on >> 32
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, struct.pack("6I", low, low, inherited[0], high, high, inherited[1])), "capset")


def hand_on(*capabilities: int) -> None:
    """Have what we execute keep these capabilities and no others (capabilities(7), ambient). Raises OSError."""
    set_capabilities(permitted(), sum(1 << number for number in capabilities))
    for number in capabilities:
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def permitted() -> int:
    """Return the capabilities that this process has, as bits."""
    header, data = struct.pack("Ii", CAPABILITY_VERSION_3, 0), ctypes.create_string_buffer(24)
    _checked(_libc.capget(header, data), "capget")
    words = struct.unpack("6I", data.raw)
    return int(words[1] | words[4] << 32)


# Landlock (landlock(7)): rights over files, by the version of the kernel's interface that knows them first.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR = 1 << 4, 1 << 5, 1 << 6, 1 << 7
MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = 1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12
REFER, TRUNCATE = 1 << 13, 1 << 14
READING = EXECUTE | READ_FILE | READ_DIR
WRITING = (
    READING | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM
    | REFER | TRUNCATE
)  # fmt: skip
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2
# The versions of Landlock that can do so (landlock(7)).
REFERS, TRUNCATES, BINDS, SCOPES = 2, 3, 4, 6
BIND_TCP = 1
RULE_OF_PATH, RULE_OF_PORT = 1, 2


def landlock_abi() -> tuple[int, str]:
    """Return the version of the kernel's Landlock, or 0 and why it has none."""
    abi = int(_libc.syscall(ctypes.c_long(CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(1)))
    if abi >= REFERS:
        return abi, ""
    return 0, f"{os.strerror(ctypes.get_errno())}" if abi < 0 else f"version {abi} is too old"


class Landlock:
    """Rules that this process puts upon itself and all that it starts; it needs no_new_privs."""

    def __init__(self, abi: int) -> None:
        handled = WRITING | MAKE_CHAR | MAKE_BLOCK
        if abi < TRUNCATES:
            handled &= ~TRUNCATE
        scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if abi >= SCOPES else 0
        bound = BIND_TCP if abi >= BINDS else 0
        values = struct.pack("3Q", handled, bound, scoped)[: 24 if scoped else 16 if bound else 8]
        self.handled, self.binds = handled, bool(bound)
        self.fd = _syscall(
            "landlock_create_ruleset", CREATE_RULESET, values, ctypes.c_size_t(len(values)), ctypes.c_uint(0)
        )

    def allow(self, path: str, rights: int) -> None:
        """Allow rights at a path and below it; what is not there is left out, and what a link means."""
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        self._allow(path, fd, rights)

    def allow_held(self, path: str, rights: int) -> None:
        """Allow rights at a path that has no link on its way. Raises OSError where it has one."""
        if not os.path.islink(path) and (fd := held(path)) >= 0:
            self._allow(path, fd, rights)

    def _allow(self, path: str, fd: int, rights: int) -> None:
        try:
            kind = os.fstat(fd).st_mode
            if stat.S_ISLNK(kind):
                return
            if not stat.S_ISDIR(kind):
                rights &= OF_A_FILE
            rule = struct.pack("=Qi", rights & self.handled, fd)
            _syscall(f"landlock_add_rule {path}", ADD_RULE, self.fd, RULE_OF_PATH, rule, ctypes.c_uint(0))
        finally:
            os.close(fd)

    def allow_port(self, port: int) -> None:
        """Allow a TCP socket to be bound to a port, 0: to one that the kernel picks (version 4)."""
        if self.binds:
            rule = struct.pack("=2Q", BIND_TCP, port)
            _syscall(f"landlock_add_rule {port}", ADD_RULE, self.fd, RULE_OF_PORT, rule, ctypes.c_uint(0))

    def restrict(self) -> None:
        """Put the rules into force, for ever."""
        _syscall("landlock_restrict_self", RESTRICT_SELF, self.fd, ctypes.c_uint(0))
        os.close(self.fd)
