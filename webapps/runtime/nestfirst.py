"""The first process of a nest, the PID namespace in which a zygote and its workers are.

It stands outside of the zygote's walls and sees the machine's files: for each worker it builds the root that the
worker is to have (``owntree``), and passes the request on to the zygote. It is spoken to by the relay alone (``nest``),
and hears nothing that the zygote says. When the relay has gone it ends the zygote, and stays until the last worker has
ended: the namespace would end with it.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from . import firstprocess, ownroot, owntree, seclusion, walls, wire

ROOT = "root"
#: How long (seconds) the zygote may leave what it is asked unread: it runs other people's code.
PATIENCE = 5.0


def begin(be_first: Callable[[], NoReturn]) -> int:
    """Make a PID namespace, in a user namespace (not for root) and a mount namespace; return its first process's id.

    That is our child, who have to be a subreaper. Raises OSError.
    """
    ours, theirs = socket.socketpair()
    with ours:
        between = os.fork()
        if between == 0:
            ours.close()
            _go_between(theirs, be_first)
        theirs.close()
        said = ours.recv(4096)
        os.waitpid(between, 0)
    if not said.isdigit():
        raise OSError(said.decode(errors="replace") or "its first process did not begin")
    return int(said)


def _go_between(sock: socket.socket, be_first: Callable[[], NoReturn]) -> NoReturn:
    """Leave what is the machine's, have a child begin the namespace, and end when it knows its number outside."""
    try:
        os.setsid()
        ownroot.leave_the_machines(pids=True)
        reading, writing = os.pipe()
        first = os.fork()
        if first == 0:
            sock.close()
            os.close(writing)
            _settle(os.read(reading, 32))
            os.close(reading)
            be_first()
        os.write(writing, b"%d" % first)
        sock.send(b"%d" % first)
    except OSError as error:
        with suppress(OSError):
            sock.send(str(error).encode())
    finally:
        os._exit(0)


def _settle(number: bytes) -> None:
    """Show the processes of our namespace, keep to ourselves, and have the next one numbered as it is outside.

    Applications name files and locks by process ids: so those of one nest are others than those of the nest before it.
    """
    ownroot.show_processes("/proc")
    with suppress(OSError):
        Path(firstprocess.NEXT).write_bytes(number)
    seclusion.seclude()


class First:
    """Build roots, pass requests on, and bury whoever has no parent any more."""

    def __init__(self, requests: socket.socket, link: socket.socket, zygote: int, own: Sequence[str]) -> None:
        self.requests, self.link, self.zygote, self.own = requests, link, zygote, own
        link.settimeout(PATIENCE)
        self.selector = selectors.DefaultSelector()

    def serve(self) -> NoReturn:
        """Work until nobody is left."""
        reading = self._catch_ends()
        self.selector.register(reading, selectors.EVENT_READ, lambda: os.read(reading, 512))
        self.selector.register(self.requests, selectors.EVENT_READ, self._answer)
        while self._somebody_is_left():
            for key, _events in self.selector.select():
                key.data()
        os._exit(0)

    def _catch_ends(self) -> int:
        reading, writing = os.pipe()
        for fd in (reading, writing):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        return reading

    def _somebody_is_left(self) -> bool:
        """Bury who has ended; say whether there is anybody else in the namespace."""
        try:
            while ended := os.waitpid(-1, os.WNOHANG)[0]:
                if ended == self.zygote:
                    self.zygote = 0
        except ChildProcessError:
            return False
        return True

    def _answer(self) -> None:
        try:
            received = wire.receive(self.requests)
            if received is None:
                raise ConnectionError
            self._pass_on(*received)
        except (OSError, ValueError):
            self._end_zygote()

    def _pass_on(self, request: dict[str, Any], fds: list[int]) -> None:
        try:
            if request["do"] == "fork":
                fds.append(self._root_of(request))
                request["more"] = [*request.get("more", ()), ROOT]
            wire.send(self.link, request, fds)
        finally:
            wire.close_all(fds)

    def _root_of(self, request: dict[str, Any]) -> int:
        """Have a root built for a worker; return what the worker receives it by."""
        wished = walls.Confinement.from_json(request["environment"][walls.KEY])
        ours, theirs = socket.socketpair()
        with ours:
            if os.fork() == 0:
                self._build(wished, ours, theirs)
        return theirs.detach()

    def _build(self, wished: walls.Confinement, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        try:
            for sock in (theirs, self.requests, self.link):
                sock.close()
            reached = ownroot.in_order((*wished.read, *self.own), wished.write)
            owntree.hand_over(ours, reached, hide=wished.hide, temporary=wished.private, size=wished.temporary)
        finally:
            os._exit(0)

    def _end_zygote(self) -> None:
        """End it, when nobody speaks to us or it does not listen to us."""
        self.selector.unregister(self.requests)
        self.requests.close()
        self.link.close()
        if self.zygote:
            with suppress(ProcessLookupError):
                os.kill(self.zygote, signal.SIGKILL)


def be_first(
    requests: socket.socket,
    link: socket.socket,
    spoken: socket.socket,
    own: Sequence[str],
    become_zygote: Callable[[], NoReturn],
) -> NoReturn:
    """Start the zygote, which is asked by ``link`` and has the other end, ``spoken``; be there for its workers."""
    zygote = os.fork()
    if zygote == 0:
        requests.close()
        link.close()
        become_zygote()
    spoken.close()  # So the relay hears of the zygote's end.
    First(requests, link, zygote, own).serve()
