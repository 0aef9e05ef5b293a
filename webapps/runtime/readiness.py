"""How a newcomer says that it is ready or why it is not, and where a worker says what goes wrong.

Runs inside the application's process under any CPython from 3.10.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable
from typing import Any

from . import complaint, health, native
from .nowait import Outlet

# So much (characters) of a failure's words, and of its traceback, is kept.
REASON, DETAIL = 2000, 30_000
LIFESPAN = re.compile(r"ASGI lifespan startup failed: (?:Lifespan startup failed: )?")
_stderr = Outlet(2)


class Ready:
    """The pipe on which a newcomer says, once, that it is ready or why it is not.

    ``said`` marks what the newcomer before it said, whose words are in the log already.
    """

    def __init__(self, fd: int, said: str = "") -> None:
        self.fd = fd
        self.said = said
        #: Taken by whoever says it: the main thread, or the one that watches it.
        self._once = native.allocate_lock()
        #: Ends the watch over a start that may hang.
        self.unwatch: Callable[[], None] = lambda: None

    def repeats(self, reason: str, detail: str) -> bool:
        """Tell whether this newcomer fails as the one before it did."""
        return self.fd >= 0 and complaint.mark(reason[:REASON], detail[-DETAIL:]) == self.said

    def say(self, message: dict[str, Any]) -> None:
        """Tell the supervisor; only the first word counts."""
        if self.fd < 0 or not self._once.acquire(False):
            return
        fd, self.fd = self.fd, -1
        self.unwatch()
        try:
            native.write(fd, json.dumps(message).encode())
        except OSError:
            pass  # The supervisor was restarted meanwhile; it will look at us by itself.
        native.close(fd)

    def failed(self, reason: str, detail: str = "", remedy: str = "") -> None:
        """Say why this newcomer cannot serve."""
        self.say({"ready": False, "reason": reason[:REASON], "detail": detail[-DETAIL:], "remedy": remedy})

    def hangs(self, reason: str, where: str, detail: str) -> None:
        """Say that this newcomer has not become ready in time, and where it is."""
        reason, where = reason[:REASON], where[:REASON]
        if detail and not self.repeats(reason + where, detail):
            say(detail.rstrip())
        self.say({"ready": False, "reason": reason, "where": where, "detail": detail[-DETAIL:], "remedy": ""})


class WorkerLog:
    """What gunicorn's workers call their logger: warnings and worse go to the application's stderr."""

    access_log_enabled = False

    def __init__(self, ready: Ready) -> None:
        self.ready = ready
        self.last_error = ""

    def _write(self, level: str, message: Any, *args: Any) -> None:
        text = str(message) % args if args else str(message)
        if level == "error":
            self.last_error = text
        if not self.ready.repeats(*startup_words(text)):
            say(text)

    def critical(self, message: Any, *args: Any, **_kwargs: Any) -> None:
        """Write the message."""
        self._write("error", message, *args)

    error = critical

    def warning(self, message: Any, *args: Any, **_kwargs: Any) -> None:
        """Write the message."""
        self._write("warning", message, *args)

    def exception(self, message: Any, *args: Any, **_kwargs: Any) -> None:
        """Write the message and the traceback of the exception at hand."""
        self._write("error", message, *args)
        say(traceback.format_exc().rstrip())

    def _nothing(self, *_args: Any, **_kwargs: Any) -> None:
        """Leave out what only a person who mends gunicorn wants to read."""

    info = debug = access = log = reopen_files = close_on_exec = _nothing


def say(text: str) -> None:
    """Print where the application's stderr went at first; it is never waited for."""
    for line in text.split("\n"):
        _stderr.say(line)


def startup_words(error: str) -> tuple[str, str]:
    """Return why an ASGI application did not start, and the traceback where it tells one, as Starlette does."""
    found = LIFESPAN.match(error)
    words = error[found.end() :] if found else error
    *traced, last = words.rstrip().splitlines() or [""]
    reason = last if not found or health.PATH in last else f"ASGI lifespan startup failed: {last}"
    return reason, words.rstrip() + "\n" if traced else ""
