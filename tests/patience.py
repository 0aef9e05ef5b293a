"""How long a test waits: the one place that every deadline and every time limit of the tests goes through.

Deadlines are written in seconds of the machine that the tests were written on. Another one may be slower, or busy with
something else, so each is multiplied by how slow this machine is: measured at the start, between tests every few
seconds, and again before a deadline is called missed.
"""

from __future__ import annotations

import os
import time

ADDITIONS = 1_000_000
REFERENCE = 0.04  # seconds of wall time that so many additions took there
MOST = 25.0  # a machine that is slower than this has another fault than that
EVERY = 15.0  # seconds
VARIABLE = "TESTS_SLOWNESS"


class Patience:
    """The factor of this run, at least 1. Processes of one run share it by the environment variable."""

    def __init__(self, given: str = "") -> None:
        self.first = self.factor = float(given) if given else slowness()
        self.looked = time.monotonic()

    def look_again(self) -> float:
        """Measure once more; the factor is never less than at the start. Return it."""
        self.factor = max(self.first, slowness())
        self.looked = time.monotonic()
        return self.factor

    def look_now_and_then(self) -> None:
        """Measure once more where the last time is long ago."""
        if time.monotonic() - self.looked > EVERY:
            self.look_again()


def slowness() -> float:
    """Return how many times longer than on the reference machine Python takes at this moment, from 1 to ``MOST``."""
    began = time.perf_counter()
    total = 0
    for number in range(ADDITIONS):
        total += number
    return min(max((time.perf_counter() - began) / REFERENCE, 1.0), MOST)


PATIENCE = Patience(os.environ.get(VARIABLE, ""))
os.environ[VARIABLE] = f"{PATIENCE.factor:.3f}"


def within(seconds: float) -> float:
    """Return how long to wait on this machine for what took at most so many seconds on the reference machine."""
    return seconds * PATIENCE.factor


class Stopwatch:
    """Time a block, and say how long that would have been on the reference machine: ``with Stopwatch() as watch: …``.

    The machine is measured beside the block, before and after it, and the slower of both counts.
    """

    def __enter__(self) -> Stopwatch:
        self.before = slowness()
        self.began = time.perf_counter()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.seconds = time.perf_counter() - self.began
        self.after = slowness()

    @property
    def there(self) -> float:
        """Seconds on the reference machine."""
        return self.seconds / max(self.before, self.after)
