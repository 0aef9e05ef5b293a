"""Management commands without the second that Python and Django need to start: who has them loaded forks for each.

The command itself is the real one, in a process of its own, with the environment, the arguments, the output and the
exit status of ``manage.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.patience import within

CHECKOUT = Path(__file__).parents[1]
READY = b"ready\n"


class Commands:
    """The process, started with the first command. ``run(["status", "--json"])``."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.starting = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.path = ""

    def run(self, words: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command; raise ``TimeoutExpired`` when it takes longer than so many patient seconds."""
        self._start()
        with (
            socket.socket(socket.AF_UNIX) as sock,
            tempfile.TemporaryFile() as asked,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            sock.settimeout(within(timeout))
            sock.connect(self.path)
            asked.write(json.dumps({"words": list(words), "cwd": os.getcwd()}).encode())
            asked.seek(0)
            socket.send_fds(sock, [b"do"], [asked.fileno(), out.fileno(), err.fileno()])
            try:
                # The command ends with the process that forked it, which ends with this connection.
                said = sock.recv(16)
            except TimeoutError:
                raise subprocess.TimeoutExpired(list(words), within(timeout)) from None
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        assert said, f"{words}: whoever runs the commands has ended: {texts}"
        return subprocess.CompletedProcess(list(words), int(said), *texts)

    def _start(self) -> None:
        with self.starting:
            if self.process is not None:
                return
            self.path = os.path.join(tempfile.mkdtemp(prefix="stoa-c-"), "sock")
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.commands", self.path],
                env=self.environment,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            assert process.stdout
            said = process.stdout.readline()
            process.stdout.close()
            assert said == READY, f"whoever runs the commands did not start: {process.wait(within(10))}"
            self.process = process

    def close(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(within(10))
            with contextlib.suppress(OSError):
                os.unlink(self.path)
                os.rmdir(os.path.dirname(self.path))
            self.process = None


def serve(path: str) -> None:
    """Load what commands need, then fork for each connection."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    sys.path.insert(0, str(CHECKOUT))
    django.setup()
    _load()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    os.write(1, READY)
    while True:
        caller, _ = listener.accept()
        if os.fork():
            caller.close()
            while _collect():
                pass
            continue
        listener.close()
        _answer(caller)


def _load() -> None:
    """Import the commands that tests run often, and the pages' and models' modules with them."""
    from django.core.management import load_command_class

    for app, name in (("webapps", "merge"), ("webapps", "status"), ("webapps", "webapp"), ("django.core", "shell")):
        with contextlib.suppress(ImportError):
            load_command_class(app, name)


def _collect() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _answer(caller: socket.socket) -> None:
    """Run one command in a process of its own; tell the caller its exit status, as ``subprocess`` counts."""
    _do, (wish, *fds), _flags, _address = socket.recv_fds(caller, 2, 3)
    with open(wish, "rb") as file:
        asked = json.load(file)
    command = os.fork()
    if not command:
        caller.close()
        os.chdir(asked["cwd"])
        for target, fd in zip((1, 2), fds, strict=True):
            os.dup2(fd, target)
            os.close(fd)
        os._exit(_command(asked["words"]))
    threading.Thread(target=_watch, args=(caller, command), daemon=True).start()
    _, status = os.waitpid(command, 0)
    with contextlib.suppress(OSError):
        caller.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _watch(caller: socket.socket, command: int) -> None:
    """Kill the command when the caller has gone; mostly it has ended before."""
    with contextlib.suppress(OSError):
        if not caller.recv(1):
            os.kill(command, signal.SIGKILL)


def _command(words: list[str]) -> int:
    """Do what ``manage.py`` does; return the exit status, as Python makes it."""
    import manage

    sys.argv = ["manage.py", *words]
    status = 1
    try:
        manage.main()
        status = 0
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            print(end.code, file=sys.stderr)
        else:
            status = end.code or 0
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return status


if __name__ == "__main__":
    serve(sys.argv[1])
