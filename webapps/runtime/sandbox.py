"""Run one command behind walls, and end whatever it has started.

``python -m webapps.runtime.sandbox SECONDS DIRECTORY COMMAND…`` with the confinement in the environment (``walls.KEY``;
without it there are no walls) and a pipe as standard input: when that closes, or the time is over, all of it ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import NoReturn

from . import ownpids, ownroot, processes, seccomp_agent, seclusion, walls
from . import syscalls as kernel

NOT_STARTED, TOO_LONG = 125, 124
GO = b"+"
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the command; return its exit status."""
    seconds, directory, *argv = sys.argv[1:]
    environment = {name: value for name, value in os.environ.items() if name not in (walls.KEY, "PYTHONPATH")}
    _leave_the_checkout()
    wished = _wished(os.environ.get(walls.KEY, ""))
    agent = seccomp_agent.Agent(selectors.DefaultSelector())
    ownpids.adopt()
    if wished and wished.means.pids:
        ownroot.leave_the_machines(pids=True)
    seclusion.seclude()
    link = agent.expect(())
    first = _forked(lambda: _be_first(wished, agent, link, lambda: _become(argv, directory, environment)))
    os.close(link)
    return _watched(first, agent, float(seconds))


def _leave_the_checkout() -> None:
    """Leave only Python's own on the path: what is there is reached by the command (``ownroot.of_python``)."""
    own = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    sys.path[:] = [path for path in sys.path if any(os.path.realpath(path).startswith(f"{top}/") for top in own)]


def _wished(text: str) -> walls.Confinement | None:
    return walls.Confinement.from_json(text) if text else None


def _forked(do: Callable[[], NoReturn]) -> int:
    """Fork a child that ends with us."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if theirs.recv(1) != GO:  # We have ended before it said so.
            os._exit(NOT_STARTED)
        theirs.close()
        do()
    theirs.close()
    with ours:
        ours.send(GO)
    return child


def _be_first(
    wished: walls.Confinement | None, agent: seccomp_agent.Agent, link: int, become: Callable[[], NoReturn]
) -> NoReturn:
    """Raise the walls, start the command, and collect all that is left to us until it ends."""
    try:
        agent.close()
        os.setsid()
        seclusion.own_keys()
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        if wished:
            ownpids.entered = wished.means.pids
            walls.raise_walls(wished, link)
        seclusion.seclude()  # So the command cannot make us its own, and we end with who started us.
        command = os.fork()
        if command == 0:
            become()
        os._exit(_status_of(command))
    except (OSError, walls.WallsFailed) as error:
        print(error, flush=True)
    finally:
        os._exit(NOT_STARTED)


def _become(argv: list[str], directory: str, environment: Mapping[str, str]) -> NoReturn:
    try:
        os.chdir(directory)
        os.execve(argv[0], argv, environment)
    except OSError as error:
        print(error, flush=True)
    finally:
        os._exit(NOT_STARTED)


def _status_of(command: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == command:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _watched(first: int, agent: seccomp_agent.Agent, seconds: float) -> int:
    """Wait for its end, for the time to be over, or for our caller to go; then end all that is left.

    None of it listens at any port meanwhile (``seccomp_agent``).
    """
    hold = os.pidfd_open(first)
    ready = agent.serve_until({hold: select.POLLIN, 0: select.POLLHUP}, seconds)
    if hold not in ready:
        os.kill(first, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    _end_all()
    if not ready:
        print(f"it took longer than {seconds:g} seconds", flush=True)
        return TOO_LONG
    return code if code >= 0 else 128 - code


def _end_all() -> None:
    """End what is below us: with a PID namespace nothing is, without one whatever was left comes to us."""
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        for number in (signal.SIGSTOP, signal.SIGKILL):  # Who forks all the time is stopped first.
            for pid in processes.below(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
