"""Begin a task at once, not with the loop's next round: many are done before it would have come.

asyncio can do so itself from CPython 3.12 on (``eager_start``). Before that a task asks its loop to call it soon, and
is called at once instead. Runs inside the application's process.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

Step = tuple[Callable[[], None], Context]


class Starter:
    """Begin tasks of one loop. Only for callbacks of that loop: no other task may be at work."""

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.first: list[Step] = []

    def start(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """Return a task that has gone as far as it could go without waiting."""
        loop = self.loop
        if loop.get_task_factory() is not None:  # The application wants to see its tasks.
            return loop.create_task(coroutine)  # type: ignore[no-any-return]
        try:
            return self._begin(coroutine)
        except (SystemExit, KeyboardInterrupt) as error:
            loop.call_soon(_raise, error)  # Where it would have been raised: it ends the loop.
            return asyncio.Future(loop=loop)

    def _take(self, callback: Callable[[], None], *_none: Any, context: Context) -> None:
        """Stand for the loop's ``call_soon``, as the task calls it."""
        self.first.append((callback, context))

    if sys.version_info >= (3, 12):

        def _begin(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            return asyncio.Task(coroutine, loop=self.loop, eager_start=True)

    else:

        def _begin(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            loop = self.loop
            loop.call_soon = self._take
            try:
                task = asyncio.Task(coroutine, loop=loop)
            finally:
                del loop.call_soon
            step, context = self.first.pop()
            context.run(step)
            return task


def _raise(error: BaseException) -> None:
    raise error
