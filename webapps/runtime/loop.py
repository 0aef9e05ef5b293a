"""A selector with callbacks, and a way for other threads to wake it."""

from __future__ import annotations

import os
import queue
import selectors
from collections.abc import Callable
from typing import Any


class Loop:
    """Wait for descriptors; call back in one thread."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.reading, self.writing = os.pipe()
        for fd in (self.reading, self.writing):
            os.set_blocking(fd, False)
        self.watch(self.reading, self._woken)

    def watch(self, fileobj: Any, callback: Callable[[Any], None]) -> None:
        """Call ``callback(fileobj)`` whenever it can be read."""
        self.selector.register(fileobj, selectors.EVENT_READ, callback)

    def unwatch(self, fileobj: Any) -> None:
        """Stop watching; nothing happens if it was not watched."""
        try:
            self.selector.unregister(fileobj)
        except (KeyError, ValueError):
            pass

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called in the loop's thread; may be called from any thread and from a signal handler."""
        self.calls.put(function)
        self.wake()

    def wake(self) -> None:
        """End the present wait."""
        try:
            os.write(self.writing, b"\0")
        except BlockingIOError:
            pass  # It is awake already.

    def wait(self, seconds: float) -> None:
        """Wait at most so long, and call back for what came."""
        for key, _events in self.selector.select(max(0.0, seconds)):
            if key.fd in self.selector.get_map():
                key.data(key.fileobj)

    def _woken(self, fd: int) -> None:
        os.read(fd, 4096)
        while not self.calls.empty():
            self.calls.get()()
