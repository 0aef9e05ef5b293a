"""One worker process on a socket of its own, and a client that says to it byte for byte what the test wants said."""

from __future__ import annotations

import fcntl
import http.client
import io
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
from dataclasses import dataclass, field
from pathlib import Path

from tests.patience import within
from tests.waiting import wait_for
from webapps.runtime import gauge
from webapps.runtime.spec import AppSpec, Limits, Protocol

CHECKOUT = Path(__file__).parents[2]
APPS = CHECKOUT / "tests" / "fixtureapps"
RUN = (
    "import json, os, sys\n"
    "from webapps.runtime import frameworks, instance, spec\n"
    "given = json.loads(sys.argv[1])\n"
    "instance.run(spec.AppSpec.from_dict(given['spec']), dict(os.environ), given['fds'], frameworks.Preloaded())\n"
)


@dataclass
class Reply:
    """An answer as it came: status, headers by lower-case name (several with line breaks), body."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes = b""
    cut: bool = False

    def json(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.body)
        return found


@dataclass
class Client:
    """A connection as the front has one."""

    path: Path
    sock: socket.socket = field(init=False)
    left: bytes = b""

    def __post_init__(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(within(20))
        self.sock.connect(str(self.path))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.sock.close()

    def send(self, data: bytes | str) -> None:
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def request(self, line: str, body: bytes = b"", *headers: str) -> Reply:
        """Send a request with Host and, where there is a body, its length; read the answer."""
        lines = [f"{line} HTTP/1.1", "Host: example.org", *headers]
        if body and not any(header.lower().startswith("transfer-encoding") for header in headers):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        return self.reply(line.partition(" ")[0])

    def is_read(self) -> bool:
        """Say whether the worker has read all that was sent (unix(7), SIOCOUTQ)."""
        return fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)) == bytes(4)

    def is_waiting(self) -> bool:
        """Say whether nothing has come beyond what was read, but the end of a line."""
        if select.select([self.sock], [], [], 0)[0]:
            self.left += self.more()
        return not self.left.strip()

    def more(self) -> bytes:
        try:
            return self.sock.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def until(self, mark: bytes) -> bytes:
        """Read up to a mark and with it; what is behind stays for later."""
        while mark not in self.left:
            data = self.more()
            if not data:
                raise AssertionError(f"the connection ended before {mark!r}: {self.left!r}")
            self.left += data
        found, _, self.left = self.left.partition(mark)
        return found + mark

    def reply(self, method: str = "GET") -> Reply:
        """Read one whole answer."""
        head = self.until(b"\r\n\r\n")
        first, _, rest = head.partition(b"\r\n")
        message = http.client.parse_headers(io.BytesIO(rest))
        headers: dict[str, str] = {}
        for name, value in message.items():
            headers[name.lower()] = "\n".join(filter(None, [headers.get(name.lower(), ""), value]))
        status = int(first.split(b" ")[1])
        reply = Reply(status, headers, b"", head)
        if method != "HEAD" and status not in (204, 304):
            self._read_body(reply)
        return reply

    def _read_body(self, reply: Reply) -> None:
        try:
            if reply.headers.get("transfer-encoding") == "chunked":
                while size := int(self.until(b"\r\n"), 16):
                    reply.body += self._exactly(size)
                    assert self.until(b"\r\n") == b"\r\n"
                assert self.until(b"\r\n") == b"\r\n"
            elif "content-length" in reply.headers:
                reply.body = self._exactly(int(reply.headers["content-length"]))
            else:
                reply.body = self.rest()
        except AssertionError:
            reply.cut = True

    def _exactly(self, size: int) -> bytes:
        while len(self.left) < size:
            data = self.more()
            assert data, "the body is cut off"
            self.left += data
        found, self.left = self.left[:size], self.left[size:]
        return found

    def rest(self) -> bytes:
        """Read until the connection ends."""
        while data := self.more():
            self.left += data
        found, self.left = self.left, b""
        return found

    def ended(self, seconds: float = 10) -> bool:
        """Say whether the other end closes, and says nothing before it does."""
        return bool(select.select([self.sock], [], [], seconds)[0]) and self.more() == b""

    def is_open(self) -> bool:
        """Say whether the connection can still be used."""
        return not self.left and not select.select([self.sock], [], [], 0)[0]


class WorkerSite:
    """Start a worker for one of the fixture applications; ``with WorkerSite() as site: …`` ends it."""

    def __init__(
        self,
        app: str = "pep3333",
        mount: str = "",
        threads: int = 2,
        timeout: int = 60,
        protocol: Protocol = Protocol.WSGI,
        without: str = "",
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="stoa-w-"))
        shutil.copytree(APPS / app, self.directory / "app")
        self.path = self.directory / "s"
        self.output = self.directory / "output"
        limits = Limits(threads=threads, request_timeout=timeout, processes_max=1)
        self.spec = AppSpec(
            *(1, 1, mount or "/", "", "USER", protocol), str(self.directory / "app"), "app", "app", limits=limits
        )
        self.hidden = self.directory / "hidden"
        if without:  # A module that does not load here.
            (self.hidden / without).mkdir(parents=True)
            (self.hidden / without / "__init__.py").write_text("raise ImportError('hidden by the test')")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(2048)  # As the supervisor does: whoever connects beyond it is refused (unix(7), EAGAIN).
        self.processes: list[subprocess.Popen[bytes]] = []
        self.gauge: gauge.Gauge

    def __enter__(self) -> WorkerSite:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait(within(10))
        self.listener.close()
        shutil.rmtree(self.directory)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The newest generation."""
        return self.processes[-1]

    def start(self) -> None:
        """Start one more generation, and wait until it says that it is ready."""
        reading, writing = os.pipe()
        out = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        err = os.dup(out)
        listener = os.dup(self.listener.fileno())
        page = gauge.make()
        self.gauge = gauge.Gauge(page)
        fds = {"listener": listener, "ready": writing, "out": out, "err": err, "gauge": page}
        given = json.dumps({"spec": self.spec.to_dict(), "fds": fds})
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{self.hidden}:{CHECKOUT}"}
        self.processes.append(
            subprocess.Popen([sys.executable, "-c", RUN, given], env=environment, pass_fds=tuple(fds.values()))
        )
        for fd in fds.values():
            os.close(fd)
        with open(reading, "rb") as pipe:
            assert select.select([pipe], [], [], 30)[0], "the worker did not say that it is ready" + self.printed()
            assert json.loads(pipe.read() or b"{}").get("ready") is True, self.printed()

    def printed(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def wait_until_printed(self, pattern: str) -> None:
        wait_for(lambda: re.search(pattern, self.printed()), 10, lambda: f"{pattern} in {self.printed()}")

    def client(self) -> Client:
        return Client(self.path)

    def ask(self, line: str, body: bytes = b"", *headers: str) -> Reply:
        """Ask over a connection of its own."""
        with self.client() as client:
            return client.request(line, body, *headers)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def is_accepting(self) -> bool:
        """Say whether the process waits for connections (the epolls in proc(5), fdinfo)."""
        watched = f"ino:{os.fstat(self.listener.fileno()).st_ino:x} "
        return any(watched in _read(info) for info in Path(f"/proc/{self.process.pid}/fdinfo").iterdir())


def _read(path: Path) -> str:
    """Return what a file says, nothing where it has just gone."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
