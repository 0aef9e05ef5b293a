"""The zygote: imports gunicorn once under one interpreter, forks workers, reports their ends.

Started by exec as ``python -I zygote.py LISTENER_FD GUNICORN_DIR`` with a whitelisted environment; nothing
of Stoa's checkout gets onto ``sys.path``. Runs under any CPython from 3.10.

It answers packets on its listening socket:

1. ``{"do": "fork", "key", "environment"}`` with the descriptors work, listener, ready, out, err, gauge: forks a worker.
   ``environment`` says what is around it; what it is to do stands in the file ``work``, which it alone reads. The
   answer is ``{"forked": key, "pid", "start"}``, the process id as it is outside of its walls.
2. ``{"do": "import", "modules": [...]}``: imports those that are safe to import before anything is configured, so
   that workers begin with them.
3. ``{"do": "list"}``: answers ``{"children": {pid: key}}``.
4. ``{"do": "leave"}``: ends when no child is left.

and tells every caller ``{"ended": pid, "key", "status"}``. SIGTERM, or ``{"do": "end"}``: SIGTERM for the children,
then it waits for them ``GRACE`` seconds, kills what is left and ends.

Behind walls (``nest``) its socket is connected to the one caller that it has, who names in ``more`` what descriptors a
worker is sent besides, and whom it sends a pidfd instead of a process id. When he has gone it ends, and no worker does.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

FDS = ("work", "listener", "ready", "out", "err", "gauge")
GRACE = 12.0


def load_package(name: str, directory: str) -> None:
    """Make the package at ``directory`` importable as ``name``, without its neighbours."""
    spec = importlib.util.spec_from_file_location(
        name, os.path.join(directory, "__init__.py"), submodule_search_locations=[directory]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{directory} is no package")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def load_fast(name: str, site: str) -> None:
    """Have a faster part at hand: the interpreter's own, else the one in Stoa's ``site`` where it loads, else none."""
    if importlib.util.find_spec(name) is not None:
        return
    try:
        load_package(name, os.path.join(site, name))
    except Exception:  # It is not there, or was built for another interpreter.
        for known in [known for known in sys.modules if known.partition(".")[0] == name]:
            del sys.modules[known]


class Zygote:
    """Fork on demand, reap, and tell."""

    def __init__(self, listener: socket.socket) -> None:
        from stoa_runtime import frameworks, instance, spare, spec, wire  # type: ignore[import-not-found]

        self.instance, self.spec, self.wire = instance, spec, wire
        self.preloaded = frameworks.Preloaded()
        self.listener = listener
        self.nested = not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        self.callers = {listener} if self.nested else set[socket.socket]()
        self.children: dict[int, str] = {}
        self.selector = selectors.DefaultSelector()
        self.environment = dict(os.environ)  # HOSTED_BY stays in it: Stoa finds its processes by it.
        self.leaving = False
        self.deadline = 0.0
        self.spare = spare.Spare(self._let_go, self._begin_apart)
        instance.walls.prepare()
        agent = instance.walls.seccomp_agent
        self.agent = None if self.nested else agent and agent.Agent(self.selector)

    def serve(self) -> None:
        """Answer until told to leave."""
        self._catch_signals()
        self.selector.register(self.listener, selectors.EVENT_READ, self._answer if self.nested else self._accept)
        if self.nested:
            self._tell(self.listener, {"hello": os.getpid()})
        while not (self.leaving and not self.children):
            timeout = 0.2 if self.deadline else self.spare.pause()
            for key, _events in self.selector.select(timeout):
                key.data(key.fileobj)
            self.spare.look()
            self._reap()
            if self.deadline and time.monotonic() > self.deadline:
                self._signal_children(signal.SIGKILL)

    def _catch_signals(self) -> None:
        reading, writing = os.pipe()
        for fd in (reading, writing):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self.wakeup = (reading, writing)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.selector.register(reading, selectors.EVENT_READ, lambda fd: os.read(fd, 512))

    def _terminate(self, _number: int = 0, _frame: Any = None) -> None:
        self.leaving = True
        self.deadline = time.monotonic() + GRACE
        self._signal_children(signal.SIGTERM)

    def _signal_children(self, number: int) -> None:
        for pid in self.children:
            try:
                if number == signal.SIGKILL:
                    os.killpg(pid, number)
                else:
                    os.kill(pid, number)
            except ProcessLookupError:
                pass

    def _accept(self, listener: Any) -> None:
        caller, _address = listener.accept()
        try:
            self.wire.check_peer(caller)
        except self.wire.PeerRefused:
            caller.close()
            return
        self.callers.add(caller)
        self._tell(caller, {"hello": os.getpid()})
        self.selector.register(caller, selectors.EVENT_READ, self._answer)

    def _answer(self, caller: Any) -> None:
        try:
            received = self.wire.receive(caller)
        except OSError:
            received = None
        if received is None:
            self._forget(caller)
            return
        request, fds = received
        if request["do"] == "fork":
            self._fork(caller, request, fds)
        elif request["do"] == "import":
            self.preloaded.load(request["modules"])
            self.instance.walls.prepare()
            gc.collect()
            gc.freeze()
            self.spare.dismiss()
        elif request["do"] == "list":
            self._tell(caller, {"children": {str(pid): key for pid, key in self.children.items()}})
        elif request["do"] == "leave":
            self.leaving = True
        elif request["do"] == "end":
            self._terminate()

    def _fork(self, caller: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
        ports = self.instance.walls.listens_at(request["environment"])
        if ports is not None and self.agent:
            request, fds = {**request, "more": ["agent"]}, [*fds, self.agent.expect(ports)]
        if self.instance.walls.has_pids(request["environment"]):
            self._fork_apart(caller, request, fds)
            return
        pid = os.fork()
        if pid == 0:
            self._become_worker(request, fds)
        self.wire.close_all(fds)
        self._has_forked(caller, request["key"], pid)

    def _fork_apart(self, caller: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
        """Have a child put a worker into a PID namespace, and leave it to us when the caller knows of it."""
        ownpids = self.instance.walls.ownpids
        ownpids.adopt()
        child, link = self.spare.ask(request, fds)
        self.wire.close_all(fds)
        with link:
            worker = ownpids.hear(link)
            self._has_forked(caller, request["key"], worker or child)
            if worker:
                ownpids.let_go(link, child)

    def _begin_apart(self, request: dict[str, Any], fds: list[int], told: socket.socket) -> None:
        """Do, in that child, what is asked for. Never returns."""
        self._work({**_named(fds, request), "told": told.detach()})

    def _has_forked(self, caller: socket.socket, key: str, pid: int) -> None:
        self.children[pid] = key
        if self.nested:
            hold = self.instance.walls.kernel.pidfd_open(pid)
            self._tell(caller, {"forked": key}, [hold])
            os.close(hold)
        else:
            self._tell(caller, {"forked": key, "pid": pid, "start": _start(pid)})

    def _become_worker(self, request: dict[str, Any], fds: list[int]) -> None:
        """Give up everything of the zygote's, then serve. Never returns."""
        try:
            self._let_go()
            self._work(_named(fds, request))
        finally:
            os._exit(70)

    def _let_go(self) -> None:
        """Close, in a child, what is the zygote's alone."""
        self.spare.forget()
        self.selector.close()
        if self.agent:
            self.agent.close()
        self.listener.close()
        for caller in self.callers:
            caller.close()
        signal.set_wakeup_fd(-1)
        for fd in self.wakeup:
            os.close(fd)

    def _work(self, fds: dict[str, int]) -> None:
        with open(fds.pop("work"), "rb") as file:
            file.seek(0)
            work = json.load(file)
        spec = self.spec.AppSpec.from_dict(work["spec"])
        self.instance.run(spec, {**self.environment, **work["environment"]}, fds, self.preloaded, work["said"])

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid not in self.children:
                continue  # The first process of a worker's PID namespace, or a spare.
            ended = {"ended": pid, "key": self.children.pop(pid), "status": os.waitstatus_to_exitcode(status)}
            for caller in list(self.callers):
                self._tell(caller, ended)

    def _tell(self, caller: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        try:
            self.wire.send(caller, message, fds)
        except OSError:
            self._forget(caller)

    def _forget(self, caller: socket.socket) -> None:
        if caller in self.callers:
            self.callers.discard(caller)
            self.selector.unregister(caller)
            caller.close()
        if self.nested:
            os._exit(0)


def _named(fds: list[int], request: dict[str, Any]) -> dict[str, int]:
    return dict(zip((*FDS, *request.get("more", ())), fds, strict=True))


def _start(pid: int) -> int:
    with open(f"/proc/{pid}/stat", "rb") as stat:
        data = stat.read()
    return int(data[data.rindex(b")") + 2 :].split()[19])


def main() -> None:
    """Import what instances share, freeze it, serve."""
    load_package("stoa_runtime", os.path.dirname(os.path.abspath(__file__)))
    importlib.import_module("stoa_runtime.seclusion").seclude()
    load_package("gunicorn", sys.argv[2])
    for name in ("gunicorn_h1c", "uvloop"):
        load_fast(name, os.path.dirname(sys.argv[2]))
    for name in ("asgi.protocol", "asgi.lifespan", "asgi.parser", "asgi.websocket", "http.wsgi", "arbiter"):
        importlib.import_module(f"gunicorn.{name}")
    for name in ("asyncio", "email", "http.client", "json", "logging", "sqlite3", "ssl", "urllib.request"):
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # An interpreter may have been built without it.
    listener = socket.socket(fileno=int(sys.argv[1]))
    gc.collect()
    gc.freeze()
    Zygote(listener).serve()


if __name__ == "__main__":
    main()
