"""How often the files of applications are looked at: for a tenth of the time, however many files they have."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

# The looks at all applications together may take one part in so many of the supervisor's time.
SHARE = 10

T = TypeVar("T")


class Looks:
    """Take looks that cost something, for each application as often as all of them together allow."""

    def __init__(self) -> None:
        self._cost: dict[int, float] = {}
        self._due: dict[int, float] = {}

    def at(self, app_id: int, look: Callable[[], T], now: float) -> T | None:
        """Look, and return what was seen; None where it is not this one's turn yet."""
        if now < self._due.get(app_id, 0.0):
            return None
        began = time.monotonic()
        try:
            return look()
        finally:
            self._cost[app_id] = time.monotonic() - began
            self._due[app_id] = now + SHARE * sum(self._cost.values())

    def forget(self, app_id: int) -> None:
        """Let go of one that is not looked at any more."""
        self._cost.pop(app_id, None)
        self._due.pop(app_id, None)
