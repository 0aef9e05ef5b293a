"""Speak JSON packets, with descriptors, over local SOCK_SEQPACKET sockets.

Imported by the zygote's side too, so it keeps to what Python 3.10 has.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

MAX_PACKET = 1 << 20
MAX_FDS = 64

Message = dict[str, Any]


class PeerRefused(Exception):
    """The process at the other end belongs to somebody else."""


def send(sock: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one packet. Raises OSError where the other end is gone."""
    payload = json.dumps(message, separators=(",", ":")).encode()
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []
    sock.sendmsg([payload], ancillary)


def receive(sock: socket.socket) -> tuple[Message, list[int]] | None:
    """Receive one packet with its descriptors (close-on-exec), or None at the end of the stream."""
    data, ancillary, _flags, _address = sock.recvmsg(MAX_PACKET, socket.CMSG_SPACE(4 * MAX_FDS))
    fds = list(_descriptors(ancillary))
    if not data:
        close_all(fds)
        return None
    return json.loads(data), fds


def _descriptors(ancillary: Iterable[tuple[int, int, bytes]]) -> Iterable[int]:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received = array.array("i")
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
            for fd in received:
                os.set_inheritable(fd, False)
                yield fd


def close_all(fds: Iterable[int]) -> None:
    """Close each descriptor."""
    for fd in fds:
        os.close(fd)


def pair() -> tuple[socket.socket, socket.socket]:
    """Make two connected packet sockets with room for large packets."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return _roomy(ours), _roomy(theirs)


def listen(path: Path) -> socket.socket:
    """Bind a packet socket at ``path``, for the owner alone, in place of what was left there."""
    sock = _roomy(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    bind(sock, path)
    sock.listen(64)
    return sock


def connect(path: Path, timeout: float = 5.0) -> socket.socket:
    """Connect to a packet socket. Raises OSError where nobody listens."""
    sock = _roomy(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    sock.settimeout(timeout)
    try:
        with short_path(path) as short:
            sock.connect(short)
    except BaseException:
        sock.close()
        raise
    return sock


def bind(sock: socket.socket, path: Path) -> None:
    """Bind a Unix socket at ``path`` (of any length), mode 0600, in place of what was left there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    umask = os.umask(0o177)
    try:
        with short_path(path) as short:
            sock.bind(short)
    finally:
        os.umask(umask)


def is_shut(sock: socket.socket) -> bool:
    """Say whether somebody has shut a listening socket down: that reaches whoever holds it (shutdown(2))."""
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


class short_path:  # noqa: N801
    """Name a socket through its directory's descriptor: sun_path holds 108 bytes only (unix(7))."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> str:
        self.fd = os.open(self.path.parent, os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self.fd}/{self.path.name}"

    def __exit__(self, *exc: object) -> None:
        os.close(self.fd)


def peer(sock: socket.socket) -> tuple[int, int]:
    """Ask the kernel which process and user have connected, or listen, at the other end."""
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid), int(uid)


def check_peer(sock: socket.socket) -> None:
    """Raise PeerRefused unless the other end is ours or root's, and nothing that is hosted.

    What is hosted has no_new_privs, which it cannot give up and hands on to all that it starts (prctl(2)).
    """
    pid, uid = peer(sock)
    if uid not in (0, os.geteuid()):
        raise PeerRefused(f"user {uid} may not speak here")
    if _no_new_privs(pid) and not _no_new_privs(os.getpid()):
        raise PeerRefused(f"process {pid} is hosted and may not speak here")


def _no_new_privs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/status", "rb") as status:  # Its name (prctl(2), PR_SET_NAME) is any bytes.
            return any(line.startswith(b"NoNewPrivs:") and line.split()[1] == b"1" for line in status)
    except OSError:
        return True  # Who has gone already is not waited for.


def _roomy(sock: socket.socket) -> socket.socket:
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, MAX_PACKET)
    return sock
