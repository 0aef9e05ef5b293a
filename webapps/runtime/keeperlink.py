"""The supervisor's side of the keeper's socket."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import wire
from .held import Held
from .keeper import SOCKET


class KeeperGone(ConnectionError):
    """Nobody is at the other end any more, or nobody who answers."""


class KeeperLink:
    """One connection, one request at a time. Methods raise KeeperGone, and OSError for what is too long to be told."""

    def __init__(self, run_dir: Path) -> None:
        self.sock = wire.connect(run_dir / SOCKET, timeout=10)

    def hold(self, key: str, meta: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Have descriptors, or a mere note, kept under ``key``."""
        self._send({"do": "hold", "key": key, "meta": meta}, fds)

    def drop(self, key: str) -> None:
        """Have what is kept under ``key`` closed."""
        self._send({"do": "drop", "key": key})

    def everything(self) -> dict[str, Held]:
        """Return all that is kept; the descriptors are ours to close."""
        self._send({"do": "list"})
        found: dict[str, Held] = {}
        while True:
            message, fds = self._receive()
            if message.get("end"):
                return found
            found[message["key"]] = Held(fds, message["meta"])

    def start(
        self,
        name: str,
        argv: Sequence[str],
        environment: Mapping[str, str],
        inherit: Iterable[str] = (),
        *,
        again: bool,
        user: str = "",
    ) -> dict[str, int]:
        """Have a child started, unless one of that name runs; return the pids by name."""
        return self._pids(
            {
                "do": "start",
                "name": name,
                "argv": list(argv),
                "environment": dict(environment),
                "inherit": list(inherit),
                "again": again,
                "as_user": user or True,  # All that the supervisor has started works for hosted applications.
            }
        )

    def stop(self, name: str) -> dict[str, int]:
        """Have a child ended for good."""
        return self._pids({"do": "stop", "name": name})

    def signal(self, name: str, number: signal.Signals) -> dict[str, int]:
        """Have a signal sent to a child."""
        return self._pids({"do": "signal", "name": name, "number": int(number)})

    def children(self) -> dict[str, int]:
        """Return the pids by name."""
        return self._pids({"do": "children"})

    def ready(self, text: str) -> None:
        """Have the person at the terminal told."""
        self._send({"do": "ready", "text": text})

    def fail(self, text: str) -> None:
        """Have the start given up."""
        self._send({"do": "fail", "text": text})

    def _pids(self, request: Mapping[str, Any]) -> dict[str, int]:
        self._send(request)
        answer: dict[str, int] = self._receive()[0]["children"]
        return answer

    def _send(self, request: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        try:
            wire.send(self.sock, request, fds)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise
            raise KeeperGone(f"the keeper does not listen: {error}") from error

    def _receive(self) -> tuple[wire.Message, list[int]]:
        try:
            received = wire.receive(self.sock)
        except OSError as error:  # Later its answer would be taken for that to another question.
            raise KeeperGone(f"the keeper does not answer: {error}") from error
        if received is None:
            raise KeeperGone("the keeper has gone")
        return received
