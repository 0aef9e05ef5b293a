"""What the gauges of an instance's workers say over time: idle, full, slack, hung, worn. Pure: no clock, no process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .spec import Limits, Protocol

# All threads busy for so long (seconds): one process more. Mostly idle for so long: one less.
GROW = 3.0
SHRINK = 60.0
# A process is full from this share of its threads (wsgi), or of a core, on, ...
FULL = 0.9
# ... and one may go when the others would be no more than this full.
SLACK = 0.5


@dataclass(frozen=True)
class Reading:
    """What one worker shows at one moment: counts, seconds of one clock, bytes (0: not measured), seconds of CPU."""

    begun: int = 0
    ended: int = 0
    movements: int = 0
    beat: float = 0.0
    memory: int = 0
    cpu: float = 0.0

    @property
    def busy(self) -> int:
        """How many requests are being answered."""
        return max(0, self.begun - self.ended)


@dataclass
class Beat:
    """One worker over time. ``lifetime`` is after how many requests it is to be replaced, 0 never."""

    lifetime: int = 0
    reading: Reading = field(default_factory=Reading)
    felt_at: float = 0.0
    moved_at: float = 0.0
    load: float = 0.0

    def feel(self, reading: Reading, limits: Limits, protocol: Protocol, now: float) -> None:
        """Take a reading."""
        before, seconds = self.reading, now - self.felt_at
        if self.felt_at and seconds > 0:
            self.load = (reading.cpu - before.cpu) / seconds
        if protocol is Protocol.WSGI:
            self.load = max(self.load, reading.busy / limits.threads)
        if not self.felt_at or _progress(reading) != _progress(before) or not reading.busy:
            self.moved_at = now
        self.reading, self.felt_at = reading, now

    def hangs(self, limits: Limits, protocol: Protocol, now: float) -> bool:
        """Say whether nothing has moved for longer than a request may take."""
        if self.reading.beat and now - self.reading.beat > limits.request_timeout:
            return True
        full = protocol is Protocol.WSGI and self.reading.busy >= limits.threads
        return full and now - self.moved_at > limits.request_timeout

    def complaint(self, limits: Limits, protocol: Protocol, now: float) -> str:
        """Say in words why this worker is to be replaced, "" where it is well."""
        if self.hangs(limits, protocol, now):
            return f"all its threads have hung for more than {limits.request_timeout} s"
        if limits.memory and self.reading.memory > limits.memory:
            return f"it took {_mb(self.reading.memory)} MB of memory, and may take {_mb(limits.memory)}"
        if self.lifetime and self.reading.begun >= self.lifetime:
            return f"recycled after {self.reading.begun} requests"
        return ""


def _progress(reading: Reading) -> tuple[int, int, int]:
    return reading.begun, reading.ended, reading.movements


def _mb(size: int) -> int:
    return round(size / (1 << 20))


@dataclass
class Pulse:
    """All workers of an instance over time. ``since`` is when it began to serve."""

    since: float
    beats: dict[str, Beat] = field(default_factory=dict)
    quiet_since: float = 0.0
    full_since: float = 0.0
    slack_since: float = 0.0

    def __post_init__(self) -> None:
        self.quiet_since = self.full_since = self.slack_since = self.since

    def feel(self, readings: Mapping[str, Reading], limits: Limits, protocol: Protocol, now: float) -> None:
        """Take one reading of each worker that serves, by its key."""
        before = self._begun()
        for key in [key for key in self.beats if key not in readings]:
            del self.beats[key]
        for key, reading in readings.items():
            self.beats.setdefault(key, Beat()).feel(reading, limits, protocol, now)
        if self._begun() != before or any(beat.reading.busy for beat in self.beats.values()):
            self.quiet_since = now
        if not self._full():
            self.full_since = now
        if not self._slack():
            self.slack_since = now

    def _begun(self) -> dict[str, int]:
        return {key: beat.reading.begun for key, beat in self.beats.items()}

    def _full(self) -> bool:
        return bool(self.beats) and all(beat.load >= FULL for beat in self.beats.values())

    def _slack(self) -> bool:
        load = sum(beat.load for beat in self.beats.values())
        return len(self.beats) > 1 and load <= SLACK * (len(self.beats) - 1)

    def idle(self, limits: Limits, now: float) -> bool:
        """Say whether nobody has asked for anything for the idle time."""
        return bool(limits.sleep_after) and now - self.quiet_since >= limits.sleep_after

    def target(self, target: int, limits: Limits, now: float) -> int:
        """Return how many processes there should be, at most one more or less than now.

        Where it changes the time begins anew, so that the next change waits for what this one brings.
        """
        least, most = max(1, limits.processes_min), max(1, limits.processes_max)
        wished = target
        if now - self.full_since >= GROW:
            wished += 1
        elif now - self.slack_since >= SHRINK:
            wished -= 1
        wished = min(max(wished, least), most)
        if wished != target:
            self.full_since = self.slack_since = now
        return wished

    def complaint(self, limits: Limits, protocol: Protocol, now: float) -> tuple[str, str]:
        """Return the key of the first worker that is to be replaced, and why; "" twice where all are well."""
        for key, beat in self.beats.items():
            if words := beat.complaint(limits, protocol, now):
                return key, words
        return "", ""

    def hung(self, limits: Limits, protocol: Protocol, now: float) -> set[str]:
        """Return the keys of the workers that hang."""
        return {key for key, beat in self.beats.items() if beat.hangs(limits, protocol, now)}
