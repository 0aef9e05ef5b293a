"""A page of memory that a worker and the supervisor share: how many requests it has begun, ended and moved on.

The supervisor makes one for each worker and reads it without asking. It serves sleeping, recycling, processes under
load, finding those that hang, and ending the WebSockets of those who may not enter any more. Runs on the zygote's side
too, under any CPython from 3.10.

A worker of one thread calls ``begin()`` and ``end()`` around each request (a WebSocket is one request as long as it is
open). Where there are several each has a word of its own, so that none needs a lock: ``steps_of()`` it is one more
where a request begins, and one more where it ends. ``moved()`` says that a long answer goes on, ``beat()``, about once
a second, that the worker lives.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Container

BEGUN, ENDED, MOVED, BEAT, HELD, THREADS = range(6)
# Behind them each thread has a word, as far as the page goes.
STEPS = 8
COUNTS = 4096
MOST_THREADS = COUNTS // 8 - STEPS
# Behind the counts stand the passes of open WebSockets: a state, a length, and what the gate said.
SLOT, SLOTS = 64, 1024
FREE, OPEN, REVOKED = range(3)
SIZE = COUNTS + SLOT * SLOTS


def make() -> int:
    """Return the descriptor of a new page. Nobody can change its size: the reader would die of SIGBUS."""
    fd = os.memfd_create("stoa-gauge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, SIZE)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


class Gauge:
    """One worker's page. The descriptor stays its owner's."""

    def __init__(self, fd: int) -> None:
        page = memoryview(mmap.mmap(fd, SIZE))
        self._words = page[:COUNTS].cast("Q")
        self._passes = page[COUNTS:]
        self._free = list(range(SLOTS - 1, -1, -1))

    def begin(self) -> None:
        """Count a request that begins."""
        self._words[BEGUN] += 1

    def end(self) -> None:
        """Count a request that has ended, however it did."""
        self._words[ENDED] += 1

    def steps_of(self, thread: int) -> memoryview:
        """Return the word of a thread, counted from 0: how often it has begun or ended a request, odd within one."""
        self._words[THREADS] = max(self._words[THREADS], thread + 1)
        return self._words[STEPS + thread : STEPS + thread + 1]

    def _steps(self) -> memoryview:
        return self._words[STEPS : STEPS + min(self._words[THREADS], MOST_THREADS)]

    def moved(self) -> None:
        """Show that a long request goes on: it does not hang."""
        self._words[MOVED] += 1  # Two threads at once may lose one; that it changes is all that counts.

    def beat(self) -> None:
        """Show that the process is alive."""
        self._words[BEAT] = time.monotonic_ns()  # One clock for all processes (clock_gettime(2)).

    def hold(self, text: str) -> int:
        """Show the pass by which an open WebSocket has come in; return its slot, -1 where there is no room."""
        data = text.encode()
        if not self._free or len(data) > SLOT - 2:
            return -1
        slot = self._free.pop()
        at = slot * SLOT
        self._passes[at : at + 2 + len(data)] = bytes((FREE, len(data))) + data
        self._passes[at] = OPEN
        self._words[HELD] += 1
        return slot

    def let_go(self, slot: int) -> None:
        """Take a pass back: its WebSocket is closed."""
        self._passes[slot * SLOT] = FREE
        self._words[HELD] -= 1
        self._free.append(slot)

    def is_revoked(self, slot: int) -> bool:
        """Say whether the pass in a slot does not count any more."""
        return self._passes[slot * SLOT] == REVOKED

    def passes(self) -> dict[int, str]:
        """Return the passes of the open WebSockets by their slots, "" for what an application has written there."""
        if not self._words[HELD]:
            return {}
        slots = (slot for slot in range(SLOTS) if self._passes[slot * SLOT] == OPEN)
        return {slot: self._text(slot) for slot in slots}

    def _text(self, slot: int) -> str:
        at = slot * SLOT
        length = min(self._passes[at + 1], SLOT - 2)
        text = bytes(self._passes[at + 2 : at + 2 + length]).decode("ascii", "replace")
        return text if text.isascii() and text.isprintable() else ""  # The gate writes no other: it counts for nothing.

    def revoke(self, texts: Container[str]) -> None:
        """Have the WebSockets closed that came in by these passes."""
        for slot, text in self.passes().items():
            if text in texts:
                self._passes[slot * SLOT] = REVOKED

    @property
    def begun(self) -> int:
        """How many requests have begun."""
        return self._words[BEGUN] + sum((steps + 1) // 2 for steps in self._steps())

    @property
    def ended(self) -> int:
        """How many requests have ended."""
        return self._words[ENDED] + sum(steps // 2 for steps in self._steps())

    @property
    def movements(self) -> int:
        """A number that changes while long requests go on."""
        return self._words[MOVED]

    @property
    def last_beat(self) -> float:
        """When (monotonic seconds) the process last showed that it is alive; 0 where it never did."""
        return self._words[BEAT] / 1e9
