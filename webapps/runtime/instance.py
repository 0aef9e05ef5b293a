"""One worker process of an instance: from the fork to the end.

Runs in a child of the zygote under any CPython from 3.10. Everything of Stoa is imported before the
application is, and hidden from it.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from gunicorn.asgi import lifespan as gunicorn_lifespan
from gunicorn.asgi.websocket import WebSocketProtocol
from gunicorn.config import Chdir, Config
from gunicorn.workers import gasgi
from gunicorn.workers.gasgi import ASGIWorker

from . import (
    bytecode,
    debugpage,
    forked,
    frameworks,
    gauge,
    guard,
    hanging,
    health,
    lifespan,
    loader,
    native,
    ports,
    seclusion,
    walls,
    websockets,
)
from .asgi_protocol import AsgiProtocol
from .readiness import Ready, WorkerLog, say, startup_words
from .spec import AppSpec, Protocol
from .worker import EpollWorker

GRACE = 30
# What threads' stacks and the allocator's arenas take of the address space besides what is used (bytes).
HEADROOM = 256 << 20
# So long (seconds) WebSockets may stay open when the worker leaves; less where somebody waits for his edit.
FAREWELL, DEBUG_FAREWELL = 10.0, 1.0
# nginx closes idle connections soon (front_routes), so the worker never does; see replacement.md, section 2.
KEEPALIVE = 75
HEAD = 1 << 16
# Built once, in the zygote: that costs 3 MB and 2 ms (replacement.md, section 5).
_CONFIG = Config()


class Listener:
    """The application's listening socket as gunicorn's workers want it: they never unlink or close it for others."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def __str__(self) -> str:
        return "the application's socket"


class _SaysReady:
    """Say ready with the first heartbeat: by then the worker accepts, lifespan startup included."""

    ready: Ready
    gauge: gauge.Gauge
    open_sockets: websockets.WebSockets
    websocket_app: Any
    farewell: float
    pid: int
    alive: bool
    log: Any
    SIGNALS: list[int]
    sockets: list[Listener]
    init_process: Callable[[], None]
    # The zygote or the keeper may go; an instance that serves stays (gunicorn leaves when its parent changes).
    ppid = property(lambda _self: os.getppid(), lambda _self, _value: None)

    def notify(self) -> None:
        """Beat, and tell the supervisor the first time."""
        super().notify()  # type: ignore[misc]
        self.gauge.beat()
        self.ready.say({"ready": True, "modules": frameworks.seen()})

    def init_signals(self) -> None:
        """Take signals, which are not for what the application forks."""
        super().init_signals()  # type: ignore[misc]
        forked.prepare(self.SIGNALS, self.sockets[0].sock, self.part_with_child)

    def part_with_child(self) -> None:
        """In a process that the application has forked: do not serve, and end where an exception comes back."""
        self.log.exception = forked.leave


class WsgiWorker(_SaysReady, EpollWorker):
    """Stoa's threaded worker without an arbiter."""

    def part_with_child(self) -> None:
        """End it where it comes back to one of the threads."""
        super().part_with_child()
        self.threads.disown(forked.end)


class AsgiWorker(_SaysReady, ASGIWorker):  # type: ignore[misc]
    """gunicorn's asgi worker without an arbiter."""

    draining = False

    def part_with_child(self) -> None:
        """End it where its request has ended, or waits."""
        super().part_with_child()
        self.gauge.end = forked.leave  # type: ignore[method-assign]
        self.loop.call_soon(forked.end)

    def handle_exit_signal(self) -> None:
        """Accept nothing more, answer what is there with ``Connection: close``, and leave when the front has gone."""
        if not self.draining:
            self.draining = True
            self.drain = self.loop.create_task(self._drain())

    handle_quit_signal = handle_exit_signal

    async def _drain(self) -> None:
        for server in self.servers:
            server.close()
        deadline = self.loop.time() + GRACE
        await asyncio.sleep(0.05)  # What was accepted just now is counted a moment later.
        goodbye = self.loop.time() + self.farewell
        # What an application does after its response is waited for too.
        while (self.nr_conns or self.gauge.begun != self.gauge.ended) and self.loop.time() < deadline:
            await asyncio.sleep(0.05)
            if self.open_sockets.open and self.loop.time() > goodbye:
                await self.open_sockets.close()
        self.alive = False


gasgi.ASGIProtocol = AsgiProtocol
gunicorn_lifespan.LifespanManager = lifespan.Lifespan
WebSocketProtocol._unmask = websockets.unmask
Chdir.default = "/"
WORKERS = {Protocol.WSGI: WsgiWorker, Protocol.ASGI: AsgiWorker}


class _Application:
    """What gunicorn's workers call their application object."""

    def __init__(self, callable_: Any) -> None:
        self.callable = callable_

    def wsgi(self) -> Any:
        """Return the callable."""
        return self.callable


def run(
    spec: AppSpec,
    base_environment: dict[str, str],
    fds: dict[str, int],
    preloaded: frameworks.Preloaded,
    said: str = "",
) -> None:
    """Serve the application until told to go. Never returns.

    ``fds`` has ``listener``, ``ready``, ``out``, ``err`` and ``gauge``, ``told`` where the worker goes into a PID
    namespace, ``agent`` where it is decided outside of it what may listen, and ``root`` where its root is built outside
    of it; this process owns them. ``said`` marks what the newcomer before it has complained of.
    """
    ready = Ready(fds["ready"], said)
    status = 1
    try:
        if "told" in fds:
            walls.enter_pids(fds["told"])
        page = gauge.Gauge(fds["gauge"])
        os.close(fds["gauge"])
        _become(spec, base_environment, fds)
        preloaded.unload_shadowed((spec.directory, *spec.python_path))
        places = (spec.directory, *spec.python_path)
        ready.unwatch = hanging.watch(spec.limits.start_timeout, places, ready.hangs)
        _serve(spec, fds["listener"], ready, page)
        status = 0
    except loader.LoadError as error:
        _complain(ready, str(error), error.detail, error.remedy)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        _complain(ready, f"{type(error).__name__}: {error}", loader.own_traceback(error))
    finally:
        _leave(status)


def _complain(ready: Ready, reason: str, detail: str, remedy: str = "") -> None:
    """Print the traceback, unless the log has it, and tell the supervisor, who has the reason logged."""
    if detail and not ready.repeats(reason, detail):
        say(detail.rstrip())
    ready.failed(reason, detail, remedy)


def _leave(status: int) -> None:
    """End without going back through the zygote's stack; the application's exit handlers run."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _become(spec: AppSpec, base_environment: dict[str, str], fds: dict[str, int]) -> None:
    if os.getpgrp() != os.getpid():  # In a PID namespace it leads its group already.
        os.setsid()
    seclusion.disclose()
    seclusion.own_keys()
    _reset_signals()
    _redirect(fds["out"], fds["err"])
    os.umask(0o027)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if spec.limits.memory:
        # The supervisor measures and replaces; this stops what grows faster than it looks (getrlimit(2)).
        resource.setrlimit(resource.RLIMIT_DATA, (2 * spec.limits.memory + HEADROOM,) * 2)
    os.environ.clear()
    os.environ.update(base_environment)
    wished = os.environ.pop(walls.KEY, "")
    if wished:
        confinement = walls.Confinement.from_json(wished)
        walls.raise_walls(confinement, fds.get("agent", -1), fds.get("root", -1))
        ports.explain(confinement)
    os.environ.update(spec.environment)
    try:
        os.chdir(spec.directory)
    except OSError as error:
        raise loader.LoadError(f"the directory {spec.directory} cannot be entered: {error.strerror}") from None
    _set_path(spec)
    sys.argv = [spec.module]
    _hide_stoa()


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    # Python ignores SIGPIPE in every program (PEP 3333 servers rely on EPIPE instead).
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _redirect(out: int, err: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
        os.set_inheritable(target, True)
    for fd in (null, out, err):
        os.close(fd)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]


def _set_path(spec: AppSpec) -> None:
    """Put the directory first and its parent last, as IRIS does, but never before the standard library."""
    sys.path[:0] = [spec.directory, *spec.python_path]
    sys.path.append(os.path.dirname(spec.directory))
    sys.path_hooks.insert(0, bytecode.hook)
    sys.path_importer_cache.clear()


def _hide_stoa() -> None:
    """Make this package impossible to import: the functions at work keep their own references."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("stoa_runtime", "__mp_main__")]:
        del sys.modules[name]
    main = sys.modules["__main__"]
    vars(main).pop("__file__", None)


def _serve(spec: AppSpec, listener: int, ready: Ready, page: gauge.Gauge) -> None:
    log = WorkerLog(ready)
    application = loader.load(spec.directory, spec.module, spec.callable, spec.protocol.value)
    config = _config(spec)
    sock = Listener(native.socket(fileno=listener))
    worker_class = WORKERS[spec.protocol]
    open_sockets = websockets.WebSockets(page)
    served = _wrapped(spec, application)
    worker = worker_class(0, os.getppid(), [sock], _Application(served), spec.limits.request_timeout, config, log)
    worker.open_sockets = open_sockets
    worker.websocket_app = open_sockets.noted(guard.websocket(served))
    worker.farewell = DEBUG_FAREWELL if spec.debug else FAREWELL
    worker.pid = os.getpid()
    worker.ready = ready
    worker.gauge = page
    try:
        worker.init_process()
    finally:
        if log.last_error:
            ready.failed(*startup_words(log.last_error))
    if worker.alive:
        ready.failed("the worker ended by itself")


def _wrapped(spec: AppSpec, application: Any) -> Any:
    """Put around the application what its settings ask for; the workers guard and count by themselves."""
    if spec.protocol is Protocol.ASGI:
        if spec.health_path:
            application = health.asgi(application, spec)
        return debugpage.asgi(application) if spec.debug else application
    if spec.health_path:
        health.check(application, spec)
    return debugpage.wsgi(application) if spec.debug else application


def _config(spec: AppSpec) -> Config:
    config = _CONFIG
    for name, value in {
        "threads": spec.limits.threads,
        "workers": spec.limits.processes_max,
        "worker_connections": 1000,
        "keepalive": KEEPALIVE,
        # The asgi worker has drained before it counts this.
        "graceful_timeout": 1 if spec.protocol is Protocol.ASGI else GRACE,
        "timeout": spec.limits.request_timeout,
        "root_path": spec.mount,
        "forwarder_headers": "",
        # nginx has refused what is longer; the asgi worker's parsers take 0 as a limit, the others as none.
        "limit_request_line": HEAD if spec.protocol is Protocol.ASGI else 0,
        "limit_request_field_size": HEAD if spec.protocol is Protocol.ASGI else 0,
        "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,  # noqa: S108
    }.items():
        config.set(name, value)
    return config
