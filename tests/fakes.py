"""Stand-ins for what is hard to have in a test."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

from tests.patience import within
from webapps.runtime import control, wire


class FakeSupervisor:
    """Answer at the control socket below ``home`` with what a test wants said."""

    def __init__(self, home: Path) -> None:
        self.facts: dict[str, dict[str, Any]] = {}
        self.front: dict[str, Any] = {"error": "", "refused": {}}
        self.warnings: list[str] = []
        self.install_answer: dict[str, Any] = {"ok": True}
        self.asked: list[dict[str, Any]] = []
        (home / "run").mkdir(parents=True, exist_ok=True)
        self.server = wire.listen(home / "run" / control.SOCKET)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _address = self.server.accept()
            except OSError:
                return
            with caller:
                received = wire.receive(caller)
                if received:
                    wire.send(caller, self._answer(received[0]))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        if request["do"] == "install":
            return self.install_answer
        supervisor = {"state": "running", "pid": 4321, "since": "2026-11-21T08:19:01.123Z"}
        return {"supervisor": supervisor, "webapps": self.facts, "front": self.front, "warnings": self.warnings}

    def close(self) -> None:
        """Stop answering."""
        self.server.shutdown(socket.SHUT_RDWR)
        self.thread.join(within(5))
        self.server.close()
