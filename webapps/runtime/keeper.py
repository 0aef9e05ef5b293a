"""The keeper: holds what must not be lost, restarts what dies, decides nothing.

Started as ``python -m webapps.runtime.keeper CONFIG LOCK_FD NAME=FD…`` by ``manage.py serve``: CONFIG is a JSON
file with ``run_dir``, ``log_dir``, ``python``, ``user`` and ``children`` (name, argv, environment, inherit), LOCK_FD
the lock that says that this home is in use, each NAME=FD a listening socket to hold. What was left by a keeper that
was killed is taken over (``takeover``).

It answers packets at ``keeper.sock`` from its own user only:

1. ``hold`` key, meta, descriptors: keep them until ``drop``; ``meta`` changes what is noted; keys that begin with
   ``pipe:`` are handed to the log writer.
2. ``list``: every key with its meta and descriptors, then ``{"end": true}``.
3. ``start`` name, argv, environment, inherit (keys whose descriptors ``{fd:KEY}`` in argv and environment name),
   again, as_user: start a child, and again whenever it ends, if ``again``. ``stop`` name: SIGTERM, and not again.
   ``signal`` name, number.
4. ``children``: the pids by name. ``ready`` text: print it. ``fail`` text: print it and end with status 1.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import cgroups, processes, seclusion, takeover, wire
from .children import Child, Children, Room
from .held import CHILD, PIPE, Held
from .listening import Listening
from .loglink import LogLink

SOCKET = "keeper.sock"
EVENTS = "events"
INSTALLER = "install:"
GRACE = 15.0
PR_SET_CHILD_SUBREAPER = 36


class Keeper:
    """Hold, start, reap; one thread, one selector."""

    def __init__(self, config: dict[str, Any], listeners: dict[str, int], left: takeover.Left | None) -> None:
        self.run_dir = Path(config["run_dir"])
        self.user: str = config.get("user", "")
        self.held = left.held if left else {}
        self.parting = takeover.Parting(self.run_dir, left) if left else None
        self.selector = selectors.DefaultSelector()
        self.stopping = ""
        self.exit_status = 0
        self.environment: dict[str, str] = {processes.MARK: processes.mark_of(self.run_dir)}
        self.events = os.pipe()
        os.set_blocking(self.events[1], False)
        self.log = LogLink(self.run_dir, Path(config["log_dir"]), config["python"], self.events[0], self.selector)
        self._hold_listeners(listeners)
        self._own_sockets()
        self.children = Children(
            Room(
                self.run_dir,
                self.environment,
                self.user,
                self._descriptors,
                self._output,
                self._note,
                self._note_child,
            )
        )
        for child in config["children"]:
            self.children.add(Child(child["name"], child["argv"], child["environment"], child.get("inherit", [])))

    def serve(self) -> int:
        """Work until told to stop; return the exit status."""
        self._catch_signals()
        self.server = Listening(self.run_dir / SOCKET)
        self.selector.register(self.server.sock, selectors.EVENT_READ, self._accept)
        self._take_over()
        while not self.stopping:
            self._start_due()
            for key, _events in self.selector.select(self._pause()):
                key.data(key.fileobj)
            self._reap()
        self.server.sock.close()
        self._stop_all()
        return self.exit_status

    def _take_over(self) -> None:
        """Let our own log writer know everything before those that were left are sent away."""
        if self.parting:
            self._start_log(self.parting.left.log_writer)
            self.parting.begin({os.getpid(), self.log.pid})
            self._note("warning", "an earlier keeper was killed: what it left is taken over")

    def _hold_listeners(self, listeners: dict[str, int]) -> None:
        """Hold the front's sockets that serve has chosen, and no others."""
        for key in [key for key in self.held if key.startswith(takeover.TCP)]:
            wire.close_all(self.held.pop(key).fds)
        self.held |= {takeover.TCP + name: Held([fd], {}) for name, fd in listeners.items()}

    def _own_sockets(self) -> None:
        """Bind what the front speaks to besides applications, portal and gate, unless it was left to us."""
        for name in ("portal", "gate"):
            if f"unix:{name}" in self.held:
                continue
            sock = socket.socket(socket.AF_UNIX)
            wire.bind(sock, self.run_dir / f"{name}.sock")
            if self.user:
                shutil.chown(self.run_dir / f"{name}.sock", self.user)
            sock.listen(2048)
            self.held[f"unix:{name}"] = Held([sock.detach()], {})

    def _catch_signals(self) -> None:
        reading, writing = os.pipe()
        for fd in (reading, writing):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.selector.register(reading, selectors.EVENT_READ, lambda fd: os.read(fd, 512))

    def _stop(self, number: int, _frame: Any) -> None:
        self.stopping = self.stopping or signal.Signals(number).name

    # Children

    def _start_due(self) -> None:
        if self.log.process is None and time.monotonic() >= self.log.due:
            self._start_log()
        if self.parting:
            self.parting.end_due(time.monotonic())
        self.log.give_up_due(time.monotonic())
        self._mend()
        self.children.start_due()

    def _mend(self) -> None:
        """Be there for the children that are about to start, where the socket's file was removed."""
        if before := self.server.mended():
            self.selector.unregister(before)
            before.close()
            self.selector.register(self.server.sock, selectors.EVENT_READ, self._accept)
            self._note("warning", f"{self.server.path} had gone and is there again")

    def _start_log(self, predecessor: int = 0) -> None:
        self.log.start(self.held, self.environment, self._drop, predecessor)

    def _pause(self) -> float | None:
        waiting = self.children.due() + ([self.log.due] if self.log.process is None else [])
        waiting += self.log.patience() + (self.parting.due() if self.parting else [])
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _descriptors(self, keys: Iterable[str]) -> dict[str, int]:
        """Duplicate what is held under the keys, for a child."""
        sources = {key: self.events[1] if key == EVENTS else self.held[key].fds[0] for key in keys if self._has(key)}
        return {key: os.dup(fd) for key, fd in sources.items()}

    def _has(self, key: str) -> bool:
        return key == EVENTS or key in self.held

    def _output(self, name: str) -> int:
        """Make a pipe for a child's output that the log writer reads; return its writing end.

        What nginx cannot write at once is lost (ngx_log.c), and so is what Stoa's own processes cannot (``nowait``):
        while nobody reads, no request waits. An installer answers nobody, and may.
        """
        reading, writing = os.pipe()
        os.set_blocking(writing, name.startswith(INSTALLER))
        key = f"{PIPE}{name}:{reading}:{time.monotonic_ns()}"
        self._hold(key, {"file": "messages", "source": name.partition(":")[0]}, [reading])
        return writing

    def _note_child(self, name: str, pid: int) -> None:
        """Remember a child, for the keeper after us."""
        self._hold(CHILD + name, {"pid": pid, "start": processes.started_at(pid) or 0}, [])

    def _reap(self) -> None:
        """Collect every child that ended, the orphans that the kernel gave us too (we are a subreaper)."""
        by_pid = self.children.by_pid()
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = by_pid.get(pid)
            if child and child.process:
                child.process.returncode = os.waitstatus_to_exitcode(status)
                self.children.ended(child, child.process.returncode)
            else:
                self.log.reaped(pid, os.waitstatus_to_exitcode(status))

    def _note(self, level: str, text: str) -> None:
        event = {"file": "messages", "source": "keeper", "level": level, "text": text[:3000]}
        try:
            os.write(self.events[1], json.dumps(event).encode()[:4095] + b"\n")
        except OSError:
            pass  # The pipe is full because the log writer is being restarted: going on matters more.

    # Requests

    def _accept(self, server: Any) -> None:
        caller, _address = server.accept()
        try:
            wire.check_peer(caller)
        except wire.PeerRefused as error:
            self._note("warning", str(error))
            caller.close()
            return
        caller.settimeout(5)
        self.selector.register(caller, selectors.EVENT_READ, self._answer)

    def _answer(self, caller: Any) -> None:
        try:
            received = wire.receive(caller)
            if received is None:
                raise ConnectionError
            self._carry_out(caller, *received)
        except OSError:
            self.selector.unregister(caller)
            caller.close()

    def _carry_out(self, caller: socket.socket, request: wire.Message, fds: list[int]) -> None:
        verb: Callable[[socket.socket, wire.Message, list[int]], None] | None = getattr(
            self, f"do_{request['do']}", None
        )
        if verb is None:
            wire.close_all(fds)
            wire.send(caller, {"error": f"unknown request {request['do']!r}"})
            return
        verb(caller, request, fds)

    def do_hold(self, _caller: socket.socket, request: wire.Message, fds: list[int]) -> None:
        """Keep descriptors (or a mere note) under a key."""
        self._hold(request["key"], request["meta"], fds)

    def _hold(self, key: str, meta: dict[str, Any], fds: list[int]) -> None:
        self._drop(key)
        self.held[key] = Held(fds, meta)
        self.log.hold(key, self.held[key])

    def do_drop(self, _caller: socket.socket, request: wire.Message, _fds: list[int]) -> None:
        """Close what is held under a key."""
        self._drop(request["key"])
        self.log.drop(request["key"])

    def _drop(self, key: str) -> None:
        held = self.held.pop(key, None)
        if held:
            wire.close_all(held.fds)

    def do_list(self, caller: socket.socket, _request: wire.Message, _fds: list[int]) -> None:
        """Hand over everything."""
        for key, held in self.held.items():
            if not key.startswith(PIPE):
                wire.send(caller, {"key": key, "meta": held.meta}, held.fds)
        wire.send(caller, {"end": True})

    def do_start(self, caller: socket.socket, request: wire.Message, _fds: list[int]) -> None:
        """Start a child, unless it is there."""
        name = request["name"]
        if not self.children.has(name):
            child = Child(name, *(request[key] for key in ("argv", "environment", "inherit", "again", "as_user")))
            self.children.add(child)
            self.children.start(child)
        wire.send(caller, self._pids())

    def do_stop(self, caller: socket.socket, request: wire.Message, _fds: list[int]) -> None:
        """End a child for good."""
        self.children.stop(request["name"])
        wire.send(caller, self._pids())

    def do_signal(self, caller: socket.socket, request: wire.Message, _fds: list[int]) -> None:
        """Send a signal to a child by its name."""
        self.children.signal(request["name"], request["number"])
        wire.send(caller, self._pids())

    def do_children(self, caller: socket.socket, _request: wire.Message, _fds: list[int]) -> None:
        """Tell the pids."""
        wire.send(caller, self._pids())

    def _pids(self) -> wire.Message:
        own = {"log": self.log.pid, "keeper": os.getpid()}
        return {"children": self.children.pids() | own}

    def do_ready(self, _caller: socket.socket, request: wire.Message, _fds: list[int]) -> None:
        """Tell the person at the terminal."""
        print(request["text"], flush=True)

    def do_fail(self, _caller: socket.socket, request: wire.Message, _fds: list[int]) -> None:
        """Give up: the start cannot succeed."""
        print(request["text"], file=sys.stderr, flush=True)
        self.exit_status = 1
        self.stopping = "a failed start"

    # The end

    def _stop_all(self) -> None:
        """Drain from the outside in: nobody decides any more, the front finishes, then instances, then the rest.

        A second signal makes it hasty.
        """
        self._note("info", f"stopping: {self.stopping}")
        hasty: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _frame: hasty.append(number))
        self._end(lambda name: name == "supervisor", signal.SIGKILL, hasty)
        self._end(lambda name: name == "front", signal.SIGQUIT, hasty)
        self._end(lambda name: name.startswith("zygote:"), signal.SIGTERM, hasty)
        self._end(lambda _name: True, signal.SIGTERM, hasty)
        processes.sweep_others(self.run_dir, {os.getpid(), self.log.pid})
        processes.end_below(os.getpid(), {self.log.pid}, self._reap)
        self.log.stop()
        processes.sweep(self.run_dir)

    def _end(self, chosen: Callable[[str], bool], number: int, hasty: list[int]) -> None:
        going = [child for child in self.children.by_pid().values() if chosen(child.name)]
        for child in going:
            child.again = False
            child.send(number)
        deadline = time.monotonic() + GRACE
        while any(child.process for child in going) and not hasty and time.monotonic() < deadline:
            self.selector.select(0.05)
            self._serve_log()
            self._reap()
        for child in going:
            child.send(signal.SIGKILL)

    def _serve_log(self) -> None:
        """Go on taking what the log writer has finished, so that it never waits for us."""
        for key, _events in self.selector.select(0):
            if self.log.is_at(key.fileobj) or isinstance(key.fileobj, int):
                key.data(key.fileobj)


def _become_subreaper() -> None:
    """Have orphans of zygotes given to us instead of to init (prctl(2))."""
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main() -> int:
    """Hold the sockets that were inherited, and serve."""
    seclusion.seclude()
    seclusion.own_keys()
    config = json.loads(Path(sys.argv[1]).read_text())
    listeners = {name: int(fd) for name, _, fd in (word.rpartition("=") for word in sys.argv[3:])}
    for fd in [int(sys.argv[2]), *listeners.values()]:
        os.set_inheritable(fd, False)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _become_subreaper()
    delegated = cgroups.settle(cgroups.find(), os.getpid())
    run_dir = Path(config["run_dir"])
    left = takeover.claim(run_dir)
    if left is None:
        processes.sweep(run_dir)
    status = Keeper(config, listeners, left).serve()
    cgroups.undo(delegated, os.getpid())
    return status


if __name__ == "__main__":
    sys.exit(main())
