"""Waiting for a condition with a deadline: what tests do instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.patience import PATIENCE

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T],
    deadline: float = 10,
    message: str | Callable[[], str] = "",
    interval: float = 0.02,
) -> T:
    """Return the condition's first true value; fail with the message after ``deadline`` patient seconds.

    A message that is a function is asked at the end, so that it can show what a child printed.
    """
    began = time.monotonic()
    end = began + deadline * PATIENCE.factor
    while not (value := condition()):
        if time.monotonic() > end:
            # The machine may have become busier than it was at the start.
            end = began + deadline * PATIENCE.look_again()
            if time.monotonic() > end:
                words = message() if callable(message) else message
                raise AssertionError(f"not within {end - began:g} s: {words or condition}")
        time.sleep(interval)
    return value


def stays_untrue(condition: Callable[[], object], seconds: float, interval: float = 0.02) -> bool:
    """Say whether the condition does not come true for so many seconds, as they are on every machine."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return False
        time.sleep(interval)
    return True
