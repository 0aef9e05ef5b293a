"""A whole Stoa for a test: the real processes, on free ports of loopback, in a home of its own."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.commands import Commands
from tests.patience import within
from tests.waiting import wait_for
from webapps.runtime import control, processes

CHECKOUT = Path(__file__).parents[1]
READY = 60.0
#: What the Stoas that a test has left with an exception had to say; the report of the failure takes it.
PARTED: list[str] = []


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers by lower-case name (the last of several), body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Stoa:
    """Start, ask, stop. ``with Stoa() as stoa: …`` leaves no process and no file behind."""

    def __init__(self, **environment: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="stoa-t-"))
        self.home = self.directory / "home"
        self.run_dir = self.home / "run"
        self.environment = environment
        self.checkout = CHECKOUT
        self.process: subprocess.Popen[str] | None = None
        self.output: list[str] = []
        self.keys: dict[str, int] = {}
        self.listener = threading.Thread()
        self.port, self.portal_port = free_port(), free_port()
        self.asking = threading.Lock()
        self.commands = Commands({})

    def __enter__(self) -> Stoa:
        try:
            self.start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: object = None
    ) -> None:
        if error is not None:
            PARTED.append(self.last_words())
        try:
            self.stop()
        finally:
            self.commands.close()
            processes.sweep(self.run_dir)
            shutil.rmtree(self.directory, ignore_errors=True)

    def replace(self) -> None:
        """Start another one, which takes over from this one."""
        before = self.process
        assert before
        listener = self.listener
        self.start("--replace")
        before.wait(within(10))
        listener.join(within(10))
        assert before.stdout
        before.stdout.close()

    def start(self, *more: str) -> None:
        """Start and wait until it says that it is ready."""
        self.output = []
        self.process = subprocess.Popen(
            [*self.manage("serve"), "--port", str(self.port), "--portal-port", str(self.portal_port), *more],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self.listener.start()
        wait_for(self._is_ready, READY, lambda: "\n".join(self.output) + self.log("messages"))

    def _listen(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self.output.append(line.rstrip())

    def _is_ready(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            raise AssertionError("Stoa ended: " + "\n".join(self.output) + self.log("messages"))
        return any(line.startswith("  applications  ") for line in self.output)  # The last of what it says.

    def stop(self) -> int:
        """Stop as Ctrl-C does, and return the exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        status = self.process.wait(within(60))
        self._forget()
        return status

    def _forget(self) -> None:
        self.listener.join(within(10))
        assert self.process and self.process.stdout
        self.process.stdout.close()
        self.process = None

    def kill(self) -> None:
        """Kill the keeper without a warning."""
        assert self.process
        self.process.kill()
        self.process.wait(within(10))
        self._forget()

    def manage(self, *words: str) -> list[str]:
        """Return the command line of a management command."""
        return [sys.executable, str(self.checkout / "manage.py"), *words]

    def command(self, *words: str, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
        """Run a management command in this home."""
        if more or not self._is_usual():
            done = subprocess.run(
                self.manage(*words),
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=within(120),
                check=False,
                **more,
            )
        else:
            done = self._commands().run(words, 120)
        assert not check or done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done

    def _is_usual(self) -> bool:
        """Say whether a command is run by this Python, from this checkout, as this user."""
        return type(self).manage is Stoa.manage and self.checkout == CHECKOUT

    def _commands(self) -> Commands:
        """Return who runs the commands in the environment of today."""
        environment = self._environment()
        with self.asking:
            if self.commands.environment != environment:
                self.commands.close()
                self.commands = Commands(environment)
            return self.commands

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOA_", "DATABASE_URL", "DJANGO_"))
        }
        return {
            **kept,
            "STOA_HOME": str(self.home),
            "STOA_SAMPLES": "0",
            "STOA_ADMIN_USER": "admin",
            "STOA_ADMIN_PASSWORD": "secret-of-the-test",
            **self.environment,
        }

    # Applications

    def write(self, name: str, files: Mapping[str, str]) -> Path:
        """Write an application's files below ``csp``; return its directory."""
        directory = self.home / "csp" / name
        for file_name, text in files.items():
            path = directory / file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return directory

    def merge(self, *lines: str, check: bool = True) -> str:
        """Merge lines of an ``[Actions]`` section; return the report."""
        path = self.directory / "merge.cpf"
        path.write_text("[Actions]\n" + "\n".join(lines) + "\n")
        return self.command("merge", str(path), check=check).stdout

    def create(self, name: str, directory: Path | str, **properties: object) -> None:
        """Create an application by a merge."""
        given = {"WSGIAppName": "app", "WSGICallable": "application", "AutheEnabled": 64, **properties}
        words = "".join(f',{key}="{value}"' for key, value in given.items())
        self.merge(f'CreateApplication:Name={name},NameSpace=USER,WSGIAppLocation="{directory}"{words}')

    def set(self, name: str, **fields: object) -> None:
        """Save an application with other values of its fields, as the form does, and wait until they are in force."""
        words = "".join(f"row.{key} = {value!r}; " for key, value in fields.items())
        source = (
            f"from webapps.models import WebApp; row = WebApp.objects.get(name={name!r}); {words}row.save(); "
            "print('REVISION', row.revision if row.enabled else 0)"
        )
        said = self.command("shell", "--no-imports", "-c", source).stdout
        revision = int(said.rpartition("REVISION")[2])
        if revision and self.live():
            wait_for(lambda: self._has_come(name, revision), 30, lambda: f"{self.live()}{self.log('WSGI')}")

    def _has_come(self, name: str, revision: int) -> bool:
        fact = self.fact(name)
        return revision in (fact.get("generation"), fact.get("failed_generation"))

    def status(self) -> dict[str, dict[str, Any]]:
        """Return ``status --json``'s applications by host and name."""
        report = json.loads(self.command("status", "--json", check=False).stdout)
        return {app["host"] + app["name"]: app for app in report["webapps"]}

    def live(self) -> dict[str, Any]:
        """Return what the supervisor says, {} while it does not answer."""
        try:
            return control.ask(self.run_dir, {"do": "status"})
        except control.SupervisorUnreachable:
            return {}

    def fact(self, name: str) -> dict[str, Any]:
        """Return what the supervisor knows of an application; cheaper than the status, for asking often."""
        return self.live().get("webapps", {}).get(str(self.key_of(name)), {})  # type: ignore[no-any-return]

    def key_of(self, name: str) -> int:
        """Return the key of an application's row."""
        if name not in self.keys:
            with contextlib.closing(sqlite3.connect(self.home / "db.sqlite3")) as database:
                found = database.execute("SELECT id FROM webapps_webapp WHERE name = ?", [name]).fetchone()
            self.keys[name] = found[0]
        return self.keys[name]

    def wait_for_state(self, name: str, state: str, deadline: float = 20) -> dict[str, Any]:
        """Wait until an application is in a state, and return its row of the status."""
        wait_for(
            lambda: self.status().get(name, {}).get("state") == state,
            deadline,
            lambda: f"{self.status()}{self.log('WSGI')}",
        )
        return self.status()[name]

    def logged(self, name: str) -> str:
        """Return a whole log."""
        path = self.home / "log" / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def log(self, name: str) -> str:
        """Return the end of a log, for the message of a failure."""
        return f"\n== {name}.log\n" + self.logged(name)[-6000:]

    def last_words(self) -> str:
        """Return the end of what it said, what the supervisor knows, and the processes that are there."""
        tails = [f"{name}.log:\n" + "\n".join(self.logged(name).splitlines()[-40:]) for name in ("messages", "WSGI")]
        try:
            known = {key: value for key, value in self.live().items() if key != "walls"}
            status = json.dumps(known, indent=1)[-8000:]
        except OSError as error:
            status = repr(error)
        there = "\n".join(map(describe, processes.marked(self.run_dir)))
        return "\n\n".join([f"{self.home}", *self.output[-20:], *tails, f"status:\n{status}", f"processes:\n{there}"])

    # Requests

    def get(self, path: str, **more: Any) -> Answer:
        """GET a path of the applications' origin."""
        return self.ask("GET", path, **more)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        portal: bool = False,
        timeout: float = 30,
    ) -> Answer:
        """Send one request and read the whole answer; redirects are not followed."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.portal_port if portal else self.port, timeout=within(timeout)
        )
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def eventually(self, path: str, status: int = 200, text: str = "", deadline: float = 20, **more: Any) -> Answer:
        """Ask until the answer is as wished and every worker of the front would give it."""
        last: list[Answer] = []

        def asked() -> bool:
            last[:] = [self.get(path, **more)]
            as_wished = last[0].status == status and text in last[0].text
            return as_wished and self.live().get("front", {}).get("settled", False)

        wait_for(
            asked,
            deadline,
            lambda: f"{path}: {last} {self.status()} {self.log('WSGI')} {self.log('messages')}",
        )
        return last[0]

    def children(self) -> dict[str, int]:
        """Return the process ids of the keeper's children by name."""
        from webapps.runtime.keeperlink import KeeperLink

        link = KeeperLink(self.run_dir)
        try:
            return link.children()
        finally:
            link.sock.close()

    def pid_of(self, name: str) -> int:
        """Return the process id of one of the keeper's children."""
        return self.children()[name]


def describe(pid: int) -> str:
    """Return a process's id, parent, state and command line, as far as it is still there."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return f"{pid} has ended"
    return f"{pid} (of {parent}) {state} {words.decode(errors='replace')[:200]}"


def free_port() -> int:
    """Return a port that nobody uses at this moment, at 127.0.0.1 and at ::1 where there is one."""
    with socket.socket() as probe, socket.socket(socket.AF_INET6) as twin:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        try:
            twin.bind(("::1", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return free_port()
        return port
