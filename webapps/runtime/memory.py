"""What a process takes, as far as it can be afforded to ask: where much is mapped often that takes the kernel long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from . import processes

#: After a reading the next one waits so many times as long as it took.
REST = 50


class Memory:
    """One process's. Who asks never waits: its share of what is in common is counted in a thread of its own."""

    def __init__(
        self, count: Callable[[int], int] = processes.memory, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.count, self.clock = count, clock
        self.counted, self.due = 0, 0.0
        self.thread: threading.Thread | None = None

    def reading(self, pid: int, enough: int) -> int:
        """Return the bytes: the resident size up to ``enough``, else what was counted last; 0 is not counted yet."""
        resident = processes.resident(pid)
        if resident <= enough:
            return resident
        if self.clock() >= self.due and not (self.thread and self.thread.is_alive()):
            self.thread = threading.Thread(target=self._count, args=(pid,), name="memory", daemon=True)
            self.thread.start()
        return self.counted

    def _count(self, pid: int) -> None:
        begun = self.clock()
        self.counted = self.count(pid)
        now = self.clock()
        self.due = now + REST * (now - begun)
