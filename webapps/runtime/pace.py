"""How many threads wait for requests: all of them, or one alone while answers are quick and many.

Python runs one thread at a time. Where answers take microseconds, several threads hinder each other more than they
help: four cost about twice the CPU of one. So in a rush one thread serves alone, and the main thread looks every few
milliseconds whether it is held up; if so all others join in at once. A thread that only waits for a core of a busy
machine is not held up: more threads would wait too.

The one that serves alone does not interrupt the front when a request comes (SCHED_BATCH, sched(7)): it runs when the
front has passed on what there is, and finds several requests at once. Runs inside the application's process.
"""

from __future__ import annotations

import contextlib
import os
import time

from .wsgi_threads import Seat, Threads

# Requests a second from which on one thread serves alone.
RUSH = 1000
# Up to here the front's cores are idle now and then, and requests and answers are bundled (``Threads``).
MANY = 25000
# How often (seconds) requests are counted while there are many, and while there are few.
COUNT = (0.2, 1.0)
# How often (seconds) the one is looked at; while more than FEW were served between two looks it is rarer, because
# whoever looks holds the one up, for want of the GIL. Three looks see that it is held up: 24 ms at most.
LOOK, FEW, RARELY = 0.004, 50, 0.016
# How long (seconds) all serve after the one was held up; doubled each time.
PATIENCE = (1.0, 60.0)


def _waited_for_a_core(seat: Seat) -> float:
    """Return how long (seconds) a thread could have run and did not (sched-stats.rst, the second word); 0: unknown."""
    try:
        with open(f"/proc/self/task/{seat.thread.native_id if seat.thread else 0}/schedstat", "rb") as stat:
            return int(stat.read().split()[1]) / 1e9
    except (OSError, LookupError, ValueError):
        return 0.0


def _schedule(seat: Seat | None, policy: int) -> None:
    with contextlib.suppress(OSError, AttributeError):  # Somebody forbids it, or the thread has not begun.
        os.sched_setscheduler(seat.thread.native_id, policy, os.sched_param(0))  # type: ignore[union-attr]


class Pace:
    """Watch the threads from the main thread."""

    def __init__(self, threads: Threads) -> None:
        self.threads = threads
        self.served = 0
        self.counted = time.monotonic()
        self.seen = -1
        self.waited: float | None = None
        self.patience = PATIENCE[0]
        self.not_before = 0.0
        self.interval = COUNT[1]

    def step(self) -> float:
        """Look after the threads; return how long the main thread may wait until the next step."""
        alone = self.threads.alone
        pause = LOOK
        if alone is not None:
            self._look_at(alone)
            if 0 <= self.seen < alone.served - FEW:
                pause = RARELY
        self.seen = alone.served if alone else -1
        self._count()
        return pause if self.threads.alone else self.interval

    def _look_at(self, alone: Seat) -> None:
        """End the rush where the one has been with the same request at three looks, and could have run."""
        if alone.connection is None or alone.served != self.seen:
            self.waited = None
            return
        waited = _waited_for_a_core(alone)
        if self.waited is not None and waited - self.waited < LOOK / 2:
            self._end_rush()
            self.not_before = time.monotonic() + self.patience
            self.patience = min(self.patience * 2, PATIENCE[1])
        self.waited = waited

    def _count(self) -> None:
        """Count, once in an interval, how many requests there were."""
        now = time.monotonic()
        elapsed = now - self.counted
        if elapsed < self.interval:
            return
        served = sum(seat.served for seat in self.threads.seats)
        self.interval = COUNT[0] if served - self.served > RUSH / 10 * elapsed else COUNT[1]
        rush = len(self.threads.seats) > 1 and served - self.served > RUSH * elapsed
        self.threads.bundling = served - self.served < MANY * elapsed
        self.served, self.counted = served, now
        if rush and now >= self.not_before and not self.threads.alone:
            self.threads.serve_alone()
            _schedule(self.threads.alone, os.SCHED_BATCH)
        elif not rush and self.threads.alone:
            self._end_rush()
            self.patience = PATIENCE[0]

    def _end_rush(self) -> None:
        alone = self.threads.alone
        self.threads.serve_together()
        _schedule(alone, os.SCHED_OTHER)
