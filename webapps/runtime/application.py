"""What the supervisor remembers of one application: its socket, its generations, its failures."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from . import complaint, packets
from .edits import Edits
from .gauge import Gauge
from .memory import Memory
from .plan import Fact, Key
from .pulse import Pulse
from .spec import AppSpec, Protocol, State

# After a crash: at once, then these pauses (seconds), the last one again and again.
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
# An instance that served this long (seconds) has its crashes forgotten.
STEADY = 60.0
# Within this (seconds) a request of which a worker has died comes to the next one.
ASKED_AGAIN = 1.0


@dataclass
class Worker:
    """One process of an instance. ``lifetime`` is after how many requests it is replaced, 0 never."""

    key: str
    pid: int = 0
    start: int = 0
    ready: bool = False
    ready_fd: int = -1
    message: bytes = b""
    pieces: int = 0
    gauge: Gauge | None = None
    memory: Memory = field(default_factory=Memory)
    lifetime: int = 0
    reason: str = ""


@dataclass
class Instance:
    """One generation of processes that serves one AppSpec. ``began`` and ``deadline`` are monotonic seconds.

    ``target`` is how many workers there should be now, ``why`` what it replaces another of the same revision for.
    """

    spec: AppSpec
    key: Key
    began: float
    deadline: float
    target: int = 1
    why: str = ""
    pulse: Pulse | None = None
    workers: dict[str, Worker] = field(default_factory=dict)
    ready_since: float = 0.0
    fork_at: float = 0.0
    forked: int = 0

    @property
    def ready(self) -> bool:
        """Whether as many workers as there should be at least say so."""
        return sum(worker.ready for worker in self.workers.values()) >= least(self.spec)

    @property
    def hung(self) -> set[str]:
        """The keys of the workers that were last seen to hang."""
        if self.pulse is None:
            return set()
        felt_at = max((beat.felt_at for beat in self.pulse.beats.values()), default=0.0)
        return self.pulse.hung(self.spec.limits, self.spec.protocol, felt_at)

    @property
    def pids(self) -> list[int]:
        """The process ids, in the order of their start."""
        return [worker.pid for worker in self.workers.values() if worker.pid]


def least(spec: AppSpec) -> int:
    """Return how many workers an awake application has at least."""
    return max(1, spec.limits.processes_min)


@dataclass(frozen=True)
class Failure:
    """Why a generation does not serve.

    ``cause`` is the reason that the application itself gave, and ``files`` what its files were like then.
    """

    key: Key
    reason: str
    detail: str = ""
    remedy: str = ""
    cause: str = ""
    files: int = 0

    @property
    def mark(self) -> str:
        """What two failures have in common where they say the same."""
        return complaint.mark(self.reason, self.detail)


@dataclass
class Application:
    """The fact, of one application.

    ``fault`` is what the supervisor itself failed at, ``unwatched`` why edits of its files are not noticed.
    """

    id: int
    label: str
    wish: AppSpec | None = None
    wish_key: Key | None = None
    listener: socket.socket | None = None
    current: Instance | None = None
    newcomer: Instance | None = None
    leaving: list[Instance] = field(default_factory=list)
    failure: Failure | None = None
    crash: Failure | None = None
    crashes: int = 0
    crashed_at: float = 0.0
    asked_again: bool = False
    retry_at: float = 0.0
    waiting: str = ""
    watched: int = 0
    edits: Edits = field(default_factory=Edits)
    edition: int = 0
    why: str = ""
    note: str = ""
    unserved: str = ""
    unwatched: str = ""
    fault: str = ""
    renew_at: float = 0.0
    asleep: Key | None = None
    slept: AppSpec | None = None
    called: bool = False
    state: State = State.STARTING
    since: str = ""

    def fact(self, routed: bool, now: float) -> Fact:
        """Take the picture that the plan looks at."""
        current, wish = self.current, self.wish
        missing = current.target - len(current.workers) if current else 0
        return Fact(
            bound=self.listener is not None,
            routed=routed,
            current=current.key if current else None,
            missing_workers=max(0, missing),
            spare_workers=max(0, -missing),
            fork_at=current.fork_at if current else 0.0,
            newcomer=self.newcomer.key if self.newcomer else None,
            newcomer_ready=bool(self.newcomer and self.newcomer.ready),
            leaving=bool(self.leaving),
            failed=self.failure.key if self.failure else None,
            retry_at=self.retry_at,
            asleep=self.asleep,
            called=self.called,
            sleepy=bool(wish and not wish.limits.processes_min),
            idle=bool(current and current.pulse and current.pulse.idle(current.spec.limits, now)),
        )

    @property
    def rests(self) -> bool:
        """Whether it is asleep as what is wished now, and nobody has called."""
        quiet = not (self.called or self.current or self.newcomer)
        return quiet and self.asleep is not None and self.asleep == self.wish_key

    def begins_with(self, spec: AppSpec) -> int:
        """Return how many workers a newcomer has: as many as what it replaces, as far as its limits allow."""
        running = self.current.target if self.current else least(spec)
        return max(least(spec), min(running, spec.limits.processes_max))

    def renew(self, why: str) -> None:
        """Wish for what is wished already, begun anew."""
        self.edition += 1
        self.why = why
        if self.wish_key:
            self.wish_key = replace(self.wish_key, edition=self.edition)

    @property
    def begun(self) -> int:
        """How many requests the processes that serve have begun, as far as was felt."""
        pulse = self.current.pulse if self.current else None
        return sum(beat.reading.begun for beat in pulse.beats.values()) if pulse else 0

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
            return State.FAILED if self.unserved else State.FILES
        if self.rests:
            return State.ASLEEP
        if self.current and self.current.ready:
            return State.RUNNING
        return State.FAILED if self.present_failure() or self.fault else State.STARTING

    def present_failure(self) -> Failure | None:
        """Return the failure of what is wished now; one of an older wish is history."""
        return self.failure if self.failure and self.failure.key == self.wish_key else None

    def said(self, key: Key) -> str:
        """Return the mark of what a generation has complained of, "" where it has not."""
        return self.failure.mark if self.failure and self.failure.key == key else ""

    def was_serving(self, instance: Instance, worker: Worker) -> bool:
        """Whether a newcomer's last worker had a request although it had not said yet that it is ready."""
        alone = self.current is None and instance is self.newcomer and not instance.workers
        return alone and worker.gauge is not None and worker.gauge.begun > 0

    def pause_after_crash(self, worker: Worker) -> float:
        """Count a crash; return how long (seconds) to wait before the next start.

        What a worker has died of the front asks once more (nginx, proxy_next_upstream). The next one that dies of it at
        once is no reason to let the others wait.
        """
        now = time.monotonic()
        served = worker.gauge is not None and worker.gauge.begun > 0
        self.asked_again = served and not self.asked_again and now - self.crashed_at < ASKED_AGAIN
        self.crashed_at = now
        if self.asked_again:
            return 0.0
        self.crashes += 1
        return PAUSES[min(self.crashes - 1, len(PAUSES) - 1)]

    def failed(self, key: Key, reason: str, detail: str, remedy: str, where: str | None) -> Failure:
        """Return the failure of a start that says why; ``where`` it hangs, if that is why."""
        if where is not None:
            return self.hung(key, reason, where, detail)
        return Failure(key, reason, detail, remedy, cause=reason, files=self.watched)

    def hung(self, key: Key, reason: str, where: str = "", detail: str = "") -> Failure:
        """Return the failure of a start that hangs: where, or what the one before it said of the same files."""
        last = self.failure
        if last and last.key == key and last.cause and last.files == self.watched:
            reason = f"{reason}; the try before it: {last.cause}"
            return Failure(key, reason, last.detail, last.remedy, last.cause, last.files)
        return Failure(key, reason + where, detail)

    @property
    def down(self) -> bool:
        """Whether it has failed and nothing of it serves."""
        return self.current is None and self.present_failure() is not None

    def reason(self) -> str:
        """Say why it is so, in a sentence or less."""
        failure = self.present_failure()
        if self.state is State.RUNNING:
            return f"{self._what_failed(failure)} did not start: {failure.reason}" if failure else self.without_files
        if self.state is State.ASLEEP:
            return self.without_files or "it starts with the next request"
        if self.state is State.FAILED:
            return failure.reason if failure else self.fault or self.without_files
        return self._why_starting() if self.state is State.STARTING else ""

    def _what_failed(self, failure: Failure) -> str:
        """Name what did not start: a generation that was saved, or the one that serves with other files."""
        begun_anew = self.current and self.current.key.revision == failure.key.revision
        return "what was to replace it" if begun_anew else f"generation {failure.key.revision}"

    @property
    def without_files(self) -> str:
        """Say why its files are not served, "" where they are."""
        return f"its files are not served: {self.unserved}" if self.unserved else ""

    def _why_starting(self) -> str:
        """Say what it waits for, or that it starts because it has crashed."""
        crashed = self.crash.reason if self.crash and self.crash.key == self.wish_key else ""
        return self.waiting or crashed

    def status(self) -> dict[str, Any]:
        """Return what the control socket tells of it."""
        shown = self.current or self.newcomer
        failure = self.present_failure()
        generation = shown.key.revision if shown else (self.wish.revision if self.wish else 0)
        return {
            "state": self.state.value,
            "reason": packets.short(self.reason()),
            "detail": packets.short(failure.detail, packets.PRINTED) if failure else "",
            "remedy": packets.short(failure.remedy) if failure else "",
            "note": packets.short(" ".join(filter(None, (self.fault, self.unwatched, self.note)))),
            "generation": generation,
            "failed_generation": failure.key.revision if failure else 0,
            "pids": [pid for instance in (self.current, self.newcomer) if instance for pid in instance.pids],
            "since": self.since,
        }


def now_in_words() -> str:
    """Return the time as pages show it."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def now_text() -> str:
    """Return the time as ISO 8601 UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
