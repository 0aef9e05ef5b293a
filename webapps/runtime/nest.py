"""Walls around a zygote: whoever decides what is installed into an environment decides what runs in its zygote.

``python -m webapps.runtime.nest LISTENER_FD OWN COMMAND…`` with a confinement in the environment (``walls.KEY``), as
the account of the applications. OWN is a JSON list of the paths that the environment's interpreter lives in,
``{link}`` in COMMAND the descriptor by which the zygote is spoken to.

    relay                the zygote's child of the keeper; outside, believes nothing, decides what may listen
      └── first process  of the PID namespace; sees the machine's files, builds the workers' roots (``nestfirst``)
            └── zygote   behind walls (``nestwalls``); executes the environment's interpreter
                  └── workers, each behind its own

The relay speaks for the zygote to the supervisor, as ``zygote`` says. A process id comes from the kernel: the zygote
sends a pidfd (pidfd_open(2)), which leads to processes of its namespace alone, and the relay asks for its number here.
When the relay or the zygote is killed, so is the other, and the workers serve on.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from . import nestfirst, nestports, nestwalls, ownpids, seccomp_agent, seclusion, walls, wire
from .nestword import Refused, Word

# Longer than the zygote waits for its workers (zygote.GRACE).
GRACE = 13.0
# How long (seconds) a supervisor, or the first process, may leave unread what it is told.
PATIENCE = 5.0
# What is Stoa's own of the environment that the relay has.
OURS = (walls.KEY, "PYTHONPATH", "TMPDIR")


class Relay:
    """Pass on what the supervisor asks, and what the zygote says as far as it is so."""

    def __init__(self, listener: socket.socket, first: int, requests: socket.socket, link: socket.socket) -> None:
        self.listener, self.first, self.requests, self.link = listener, first, requests, link
        requests.settimeout(PATIENCE)
        self.selector = selectors.DefaultSelector()
        self.agent = seccomp_agent.Agent(self.selector)
        self.ports = nestports.Ports(self.selector)
        self.callers: set[socket.socket] = set()
        self.asked: dict[str, socket.socket] = {}
        self.children: dict[str, Word] = {}
        self.deadline = 0.0
        self.filtered = self.greeted = self.ended = False

    def serve(self) -> None:
        """Work until the zygote has ended; where that was asked of it, nothing of the nest is left behind."""
        self._catch_signals()
        self.selector.register(self.link, selectors.EVENT_READ, self._hear)
        while not self.ended:
            for key, _events in self.selector.select(0.2 if self.deadline else None):
                key.data(key.fileobj)
            self.ended |= bool(self.deadline) and time.monotonic() > self.deadline
        if self.deadline:
            with suppress(ProcessLookupError):
                os.kill(self.first, signal.SIGKILL)  # And with it all that is in its namespace.

    def _catch_signals(self) -> None:
        reading, writing = os.pipe()
        for fd in (reading, writing):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._terminate)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.selector.register(reading, selectors.EVENT_READ, lambda fd: os.read(fd, 512))

    def _terminate(self, _number: int, _frame: Any) -> None:
        self.deadline = time.monotonic() + GRACE
        self._ask({"do": "end"}, [])

    def _ask(self, request: Mapping[str, Any], fds: list[int]) -> None:
        try:
            wire.send(self.requests, request, fds)
        except OSError:
            self.ended = True

    # What the supervisor says

    def _accept(self, listener: Any) -> None:
        caller, _address = listener.accept()
        try:
            wire.check_peer(caller)
        except wire.PeerRefused:
            caller.close()
            return
        caller.settimeout(PATIENCE)
        self.callers.add(caller)
        self.selector.register(caller, selectors.EVENT_READ, self._answer)
        self._tell(caller, {"hello": os.getpid()})

    def _answer(self, caller: Any) -> None:
        try:
            received = wire.receive(caller)
        except OSError:
            received = None
        if received is None:
            self._forget(caller)
            return
        request, fds = received
        if request["do"] == "list":
            self._tell(caller, {"children": {str(word.pid): key for key, word in self.children.items()}})
            return
        if request["do"] == "fork":
            self.asked[request["key"]] = caller
            request, fds = self._with_ports(request, fds)
        self._ask(request, fds)
        wire.close_all(fds)

    def _with_ports(self, request: dict[str, Any], fds: list[int]) -> tuple[dict[str, Any], list[int]]:
        """Add what a worker says by that it is the one that may listen at its ports."""
        ports = walls.listens_at(request["environment"])
        if ports is None:
            return request, fds
        return {**request, "more": [seccomp_agent.LINK]}, [*fds, self.ports.expect(request["key"], ports)]

    # What the zygote says

    def _hear(self, link: Any) -> None:
        try:
            received = wire.receive(link)
            if received is None:
                raise Refused("")
            self._heard(Word.of(*received, self.first))
        except (Refused, OSError, ValueError, RecursionError) as error:
            if str(error):
                print(f"the zygote is ended, whose word cannot be taken: {error}", flush=True)
            self.ended = True

    def _heard(self, word: Word) -> None:
        if word.says == "filter":
            if self.filtered:
                raise Refused("it has a filter already")
            self.filtered = True
            self.agent.watch(word.take(), self.ports.of)
        elif word.says == "hello":
            self._greet()
        elif word.says == "forked":
            self._forked(word)
        else:
            self._has_ended(word)

    def _greet(self) -> None:
        """Be there for supervisors: it runs."""
        if not self.greeted:
            self.greeted = True
            self.selector.register(self.listener, selectors.EVENT_READ, self._accept)

    def _forked(self, word: Word) -> None:
        caller = self.asked.pop(word.key, None)
        if caller is None:
            raise Refused("nobody has asked for this worker")
        self.children[word.key] = word
        if word.pid:
            self._tell(caller, {"forked": word.key, "pid": word.pid, "start": word.start})

    def _has_ended(self, word: Word) -> None:
        worker = self.children.pop(word.key, None)
        if worker is None or not worker.has_ended():
            raise Refused("this worker has not ended")
        os.close(worker.take())
        self.ports.forget(word.key)
        for caller in list(self.callers):
            self._tell(caller, {"ended": worker.pid, "key": word.key, "status": word.status})

    def _tell(self, caller: socket.socket, message: dict[str, Any]) -> None:
        try:
            wire.send(caller, message)
        except OSError:
            self._forget(caller)

    def _forget(self, caller: socket.socket) -> None:
        if caller in self.callers:
            self.callers.discard(caller)
            self.selector.unregister(caller)
            caller.close()


def main() -> int:
    """Begin the nest, and stand before it."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    own, command = [str(path) for path in json.loads(sys.argv[2])], sys.argv[3:]
    wished = walls.Confinement.from_json(os.environ[walls.KEY])
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    (requests, asked), (link, spoken) = wire.pair(), wire.pair()
    ownpids.adopt()

    def become_zygote() -> NoReturn:
        _become(wished, spoken, command, environment)

    def be_first() -> NoReturn:
        for sock in (listener, requests):
            sock.close()
        nestfirst.be_first(asked, link, spoken, own, become_zygote)

    first = nestfirst.begin(be_first)
    for sock in (asked, spoken):
        sock.close()
    seclusion.seclude()
    Relay(listener, first, requests, link).serve()
    return 0


def _become(
    wished: walls.Confinement, spoken: socket.socket, command: list[str], environment: dict[str, str]
) -> NoReturn:
    """Raise the walls, and execute the interpreter that is not trusted behind them."""
    doing = "the walls around a zygote cannot be put up"
    try:
        nestwalls.raise_around(wished, lambda listener: _send_filter(spoken, listener))
        doing = f"the zygote of {command[0]} cannot be started"
        os.set_inheritable(spoken.fileno(), True)
        os.execve(command[0], [word.replace("{link}", str(spoken.fileno())) for word in command], environment)
    except OSError as error:
        print(f"{doing}: {error}", flush=True)
    finally:
        os._exit(1)


def _send_filter(spoken: socket.socket, listener: int) -> None:
    wire.send(spoken, {"filter": True}, [listener])
    with suppress(OSError):
        os.close(listener)


if __name__ == "__main__":
    sys.exit(main())
