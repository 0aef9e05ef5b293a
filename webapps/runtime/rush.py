"""While thousands of requests come in each second, the front works through what there is before it is interrupted.

A process that is woken usually interrupts another one. In a rush the front and an application's worker wake each other
with every request, and each wakes for one where it could have had ten. One of SCHED_BATCH (sched(7)) waits for its
turn: then both find more to do at once, and the machine answers more. With little to do that would only be a delay.
The worker sees to itself (``pace``); nginx cannot, so the supervisor does it.

Whoever is woken through a socket is put on the waker's core, in the belief that the waker is about to sleep. So the
front's processes end up on one core, each waiting for the other, while another core is idle. In a rush each has its
own.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable

# Requests a second from which on it is a rush, and below which it is over.
BEGINS, ENDS = 5000.0, 2500.0
# Over how long (seconds) they are counted at least.
COUNT = 0.9


class Rush:
    """Tell a rush by the requests that applications have begun. ``front`` names the front's processes."""

    def __init__(self, front: Callable[[], Iterable[int]]) -> None:
        self.front = front
        self.on = False
        #: Whether the front may be scheduled for a rush; a supervisor before this one may have left it so.
        self.altered = True
        self.begun = 0
        self.counted = 0.0

    def look(self, begun: int, now: float) -> None:
        """Take how many requests have begun so far, and see to the front once a second."""
        seconds = now - self.counted
        if seconds < COUNT:
            return
        rate = (begun - self.begun) / seconds if self.counted else 0.0
        self.begun, self.counted = begun, now
        self.on = rate > (ENDS if self.on else BEGINS)
        if self.on or self.altered:  # Each time anew: a reload begins other processes.
            self.altered = self.on
            cores = os.sched_getaffinity(0)
            own = itertools.cycle(sorted(cores))
            for pid in sorted(self.front()):
                if self.on:
                    _schedule(pid, os.SCHED_BATCH, {next(own)})
                else:
                    _schedule(pid, os.SCHED_OTHER, cores)


def _schedule(pid: int, policy: int, cores: set[int]) -> None:
    try:
        os.sched_setscheduler(pid, policy, os.sched_param(0))
        os.sched_setaffinity(pid, cores)
    except OSError:
        pass  # It has ended meanwhile, or somebody forbids it: then it is as before.
