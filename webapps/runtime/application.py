"""What the supervisor remembers of one application: its socket, its generations, its failures."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .plan import Fact, Key
from .spec import AppSpec, Protocol, State

# After a crash: at once, then these pauses (seconds), the last one again and again.
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
# An instance that served this long (seconds) has its crashes forgotten.
STEADY = 60.0


@dataclass
class Worker:
    """One process of an instance."""

    key: str
    pid: int = 0
    start: int = 0
    ready: bool = False
    ready_fd: int = -1
    message: bytes = b""


@dataclass
class Instance:
    """One generation of processes that serves one AppSpec. ``began`` and ``deadline`` are monotonic seconds."""

    spec: AppSpec
    key: Key
    began: float
    deadline: float
    workers: dict[str, Worker] = field(default_factory=dict)
    ready_since: float = 0.0
    fork_at: float = 0.0
    forked: int = 0

    @property
    def ready(self) -> bool:
        """Whether as many workers as wished say so."""
        return sum(worker.ready for worker in self.workers.values()) >= self.wished

    @property
    def wished(self) -> int:
        """How many workers there should be at least."""
        return max(1, self.spec.limits.processes_min)

    @property
    def pids(self) -> list[int]:
        """The process ids, in the order of their start."""
        return [worker.pid for worker in self.workers.values() if worker.pid]


@dataclass(frozen=True)
class Failure:
    """Why a generation does not serve."""

    key: Key
    reason: str
    detail: str = ""
    remedy: str = ""


@dataclass
class Application:
    """The fact, of one application."""

    id: int
    label: str
    wish: AppSpec | None = None
    wish_key: Key | None = None
    listener: socket.socket | None = None
    current: Instance | None = None
    newcomer: Instance | None = None
    leaving: list[Instance] = field(default_factory=list)
    failure: Failure | None = None
    crashes: int = 0
    retry_at: float = 0.0
    waiting: str = ""
    watched: int = 0
    state: State = State.STARTING
    since: str = ""

    def fact(self, routed: bool) -> Fact:
        """Take the picture that the plan looks at."""
        current = self.current
        missing = current.wished - len(current.workers) if current else 0
        return Fact(
            bound=self.listener is not None,
            routed=routed,
            current=current.key if current else None,
            missing_workers=max(0, missing),
            fork_at=current.fork_at if current else 0.0,
            newcomer=self.newcomer.key if self.newcomer else None,
            newcomer_ready=bool(self.newcomer and self.newcomer.ready),
            leaving=bool(self.leaving),
            failed=self.failure.key if self.failure else None,
            retry_at=self.retry_at,
        )

    def instances(self) -> list[Instance]:
        """Every generation that has processes."""
        return [instance for instance in (self.current, self.newcomer, *self.leaving) if instance]

    def note_state(self) -> bool:
        """Say in one word how it is; True where that has changed."""
        state = self._state()
        if state is self.state and self.since:
            return False
        self.state, self.since = state, now_text()
        return True

    def _state(self) -> State:
        if self.wish is None:
            return State.DRAINING if self.instances() else State.DISABLED
        if self.wish.protocol is Protocol.FILES:
            return State.FILES
        if self.current and self.current.ready:
            return State.RUNNING
        return State.FAILED if self.present_failure() else State.STARTING

    def present_failure(self) -> Failure | None:
        """Return the failure of what is wished now; one of an older wish is history."""
        return self.failure if self.failure and self.failure.key == self.wish_key else None

    @property
    def down(self) -> bool:
        """Whether it has failed and nothing of it serves."""
        return self.current is None and self.present_failure() is not None

    def reason(self) -> str:
        """Say why it is so, in a sentence or less."""
        failure = self.present_failure()
        if self.state is State.RUNNING:
            return f"generation {failure.key.revision} did not start: {failure.reason}" if failure else ""
        if self.state is State.FAILED and failure:
            return failure.reason
        return self.waiting if self.state is State.STARTING else ""

    def status(self) -> dict[str, Any]:
        """Return what the control socket tells of it."""
        shown = self.current or self.newcomer
        failure = self.present_failure()
        generation = shown.key.revision if shown else (self.wish.revision if self.wish else 0)
        return {
            "state": self.state.value,
            "reason": self.reason(),
            "detail": failure.detail if failure else "",
            "remedy": failure.remedy if failure else "",
            "generation": generation,
            "failed_generation": failure.key.revision if failure else 0,
            "pids": [pid for instance in (self.current, self.newcomer) if instance for pid in instance.pids],
            "since": self.since,
        }


def now_text() -> str:
    """Return the time as ISO 8601 UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
