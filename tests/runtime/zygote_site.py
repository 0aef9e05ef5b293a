"""A zygote with workers behind walls, for a test: as an account that is not root, from a copy that it may read."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.accounts import ACCOUNT, no_account, python_of_account
from tests.patience import within
from tests.runtime.worker_site import APPS, CHECKOUT, Client
from tests.waiting import wait_for
from webapps.runtime import confines, gauge, processes, reach, walls, wire, zygotes
from webapps.runtime.spec import AppSpec, Limits, Protocol

READABLE = 0o755
PROBE = (
    "import dataclasses, json, sys\n"
    "from webapps.runtime import syscalls, walls\n"
    "syscalls.landlock_abi = lambda known=syscalls.landlock_abi(): (min(known[0], 5), known[1])\n"
    "wished = walls.Confinement.from_json(sys.argv[1])\n"
    "print(json.dumps(dataclasses.asdict(walls.probe(wished))))\n"
)


@dataclass
class Forked:
    """A worker as the supervisor knows it."""

    key: str
    pid: int
    path: Path
    ready: int
    seen: dict[str, Any] = field(default_factory=dict)

    def ask(self, do: str, *words: object) -> Any:
        """Have it do something; return what it says."""
        with Client(self.path) as client:
            query = urlencode([("do", do), *(("with", str(word)) for word in words)])
            reply = client.request(f"GET /?{query}")
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    def said(self) -> dict[str, Any]:
        """Return what it says when it is ready, or why it is not."""
        ready, self.ready = self.ready, -1
        with open(ready, "rb") as pipe:
            assert select.select([pipe], [], [], 30)[0], "the worker says nothing"
            found: dict[str, Any] = json.loads(pipe.read() or b"{}")
            return found

    @property
    def first(self) -> int:
        """The first process of its namespace, as it is known outside."""
        session = os.getsid(self.pid)
        found = [pid for pid in _all() if _session(pid) == session and _inside(pid) == 1]
        assert len(found) == 1, found
        return found[0]


class ZygoteSite:
    """Start a zygote; ``with ZygoteSite() as site: …`` leaves no process behind."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="stoa-z-"))
        self.directory.chmod(READABLE)
        self.account = pwd.getpwnam(ACCOUNT) if os.geteuid() == 0 else None
        self.python = python_of_account() if self.account else sys.executable
        self.checkout = self.directory / "stoa"
        for package in ("webapps/__init__.py", "webapps/runtime"):
            _copy(CHECKOUT / package, self.checkout / package)
        found = importlib.util.find_spec("gunicorn")
        assert found and found.submodule_search_locations
        _copy(Path(found.submodule_search_locations[0]), self.checkout / "gunicorn")
        for name in ("run", "apps"):
            (self.directory / name).mkdir()
            self._give(self.directory / name)
        self.forked: list[Forked] = []
        self.ended: dict[str, tuple[int, int]] = {}
        self.process: subprocess.Popen[bytes]
        self.sock: socket.socket

    def _give(self, path: Path) -> None:
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def __enter__(self) -> ZygoteSite:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        if hasattr(self, "sock"):
            self.sock.close()
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait(within(10))
        for worker in self.forked:
            if worker.ready >= 0:
                os.close(worker.ready)
        processes.sweep(self.directory)
        shutil.rmtree(self.directory)

    def start(self) -> None:
        """Start it as the account, and hear its hello."""
        listener = wire.listen(self.directory / "run" / "zygote.sock")
        fd = str(listener.fileno())
        script = self.checkout / "webapps" / "runtime" / "zygote.py"
        self.process = self._spawn(
            [str(script), fd, str(self.checkout / "gunicorn")], pass_fds=(listener.fileno(),), process_group=0
        )
        listener.close()
        self.sock = wire.connect(self.directory / "run" / "zygote.sock", 30)
        assert self._hear()["hello"] == self.process.pid

    def _spawn(self, words: list[str], **more: Any) -> subprocess.Popen[bytes]:
        identity: dict[str, Any] = {}
        if self.account:
            identity = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        environment = {"PATH": os.defpath, processes.MARK: processes.mark_of(self.directory)}
        environment["PYTHONPATH"] = str(self.checkout)
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        isolated = [] if words[0] == "-c" else ["-I"]
        return subprocess.Popen(
            [self.python, *isolated, *words], env=environment, cwd=self.directory / "run", **identity, **more
        )

    def means(self) -> walls.Means:
        """Return what the machine permits to the account, had it a Landlock that does not scope signals."""
        asked = walls.Confinement(read=reach.SYSTEM, processes=confines.PROCESSES)
        return walls.Means.from_dict(self.run(PROBE, asked.to_json()))

    def run(self, source: str, *words: str) -> Any:
        """Run some Python as the account; return what it prints."""
        process = self._spawn(["-c", source, *words], stdout=subprocess.PIPE)
        out, _err = process.communicate(timeout=within(60))
        return json.loads(out)

    def fork(self, means: walls.Means, **more: Any) -> Forked:
        """Have a worker forked that has these walls around it; return it before it is ready."""
        number = len(self.forked)
        home = self.directory / "apps" / str(number)
        shutil.copytree(APPS / "inside", home / "app")
        for path in (home, home / "app"):
            self._give(path)
        limits = Limits(threads=2, processes_max=1)
        spec = AppSpec(number, 1, "/", "", "USER", Protocol.WSGI, str(home / "app"), "app", "app", limits=limits)
        wished = walls.Confinement(means=means, read=reach.SYSTEM, write=(str(home / "app"),), **more)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(home / "s"))
        listener.listen(16)
        ready, out = os.pipe(), os.open(home / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        fds = [listener.detach(), ready[1], out, os.dup(out), gauge.make()]
        zygote = zygotes.Zygote("", (self.python, ""), self.sock, 0)
        zygote.fork(str(number), spec.to_dict(), {walls.KEY: wished.to_json()}, "", fds)
        wire.close_all(fds)
        worker = Forked(str(number), 0, home / "s", ready[0])
        self.forked.append(worker)
        heard = self._hear()
        assert heard["forked"] == str(number), heard
        assert heard["start"] == (processes.started_at(heard["pid"]) or heard["start"])
        worker.pid = heard["pid"]
        return worker

    def worker(self, means: walls.Means, **more: Any) -> Forked:
        """Have a worker forked, and wait until it is ready."""
        worker = self.fork(means, **more)
        said = worker.said()
        assert said.get("ready") is True, (said, (worker.path.parent / "output").read_text())
        return worker

    def end_of(self, worker: Forked) -> int:
        """Wait for what the zygote says of a worker's end; return the status."""
        while worker.key not in self.ended:
            heard = self._hear()
            assert "ended" in heard, heard
            self.ended[heard["key"]] = heard["ended"], heard["status"]
        pid, status = self.ended[worker.key]
        assert pid == worker.pid
        return status

    def _hear(self) -> dict[str, Any]:
        received = wire.receive(self.sock)
        assert received, "the zygote has ended"
        return received[0]

    def kill(self) -> None:
        """Kill the zygote without a warning."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(within(10))

    def left(self) -> list[int]:
        """Return the processes of this site besides its zygote and the spare child that it has ready."""
        return [pid for pid in processes.marked(self.directory) if pid not in (self.process.pid, *self.spares())]

    def spares(self) -> list[int]:
        """Return the zygote's children that are nothing yet: they are still in its session."""
        children = processes.below(self.process.pid)
        return [pid for pid in children if _session(pid) == _session(self.process.pid)]

    def wait_until_nothing_is_left(self) -> None:
        """Fail where a process stays."""
        wait_for(lambda: not self.left(), 10, lambda: str(self.left()))


def why_not() -> str:
    """Say why this machine cannot have such a site, "" where it can."""
    return no_account() if os.geteuid() == 0 else ""


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _inside(pid: int) -> int:
    """Return a process's id in the innermost namespace that it belongs to (proc(5), NSpid)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[-1]) for line in lines if line.startswith("NSpid:"))
