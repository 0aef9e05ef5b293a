"""How many applications start at once: as many as there are cores. Who waits rather than works has had its turn."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from . import processes
from .application import Instance

# A start has its turn for so long (seconds).
TURN = 10.0
# From this age (seconds) on it has had it also where it used less than this part of a core: it waits for something.
SOON, WORKS = 1.0, 0.1
# How often (seconds) it is looked who works.
LOOK = 0.5
WAITS = "it waits for its turn: others are starting"


class Turns:
    """Say who has to wait."""

    def __init__(self) -> None:
        self.at_once = os.cpu_count() or 1
        self.looked_at = 0.0
        self.idle: set[int] = set()

    def waiting(self, newcomers: Iterable[Instance]) -> str:
        """Return why one more has to wait for those who start at this moment, "" if it need not."""
        now = time.monotonic()
        starting = [newcomer for newcomer in newcomers if now - newcomer.began < TURN]
        if len(starting) < self.at_once:
            return ""
        if now - self.looked_at > LOOK:
            self.looked_at = now
            self.idle = {id(newcomer) for newcomer in starting if _is_idle(newcomer, now - newcomer.began)}
        return WAITS if sum(id(newcomer) not in self.idle for newcomer in starting) >= self.at_once else ""


def _is_idle(newcomer: Instance, age: float) -> bool:
    return age > SOON and sum(map(processes.cpu_seconds, newcomer.pids)) < age * WORKS
