"""Ask the supervisor over its control socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import wire

SOCKET = "control.sock"


class SupervisorUnreachable(Exception):
    """Nobody answers at the control socket: Stoa is not running, or its supervisor is being restarted."""


def ask(run_dir: Path, request: Mapping[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """Send one request and return the answer; ``timeout`` is seconds.

    Raises SupervisorUnreachable.
    """
    try:
        with wire.connect(Path(run_dir) / SOCKET, timeout) as sock:
            wire.send(sock, request)
            return _whole(sock)
    except OSError as error:
        raise SupervisorUnreachable(str(error)) from error


def is_served(run_dir: Path) -> bool:
    """Say whether a Stoa runs with this home, although nobody may answer: the lock's file names its keeper."""
    try:
        pid = int((run_dir / "keeper.lock").read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
    return b"webapps.runtime.keeper" in words


def _whole(sock: Any) -> dict[str, Any]:
    """Put an answer of several packets together: all but the last carry ``more``."""
    answer: dict[str, Any] = {}
    while True:
        received = wire.receive(sock)
        if received is None:
            raise SupervisorUnreachable("the supervisor closed the connection")
        part, fds = received
        wire.close_all(fds)
        more = part.pop("more", False)
        for key, value in part.items():
            if isinstance(value, dict) and isinstance(answer.get(key), dict):
                answer[key].update(value)
            else:
                answer[key] = value
        if not more:
            return answer
