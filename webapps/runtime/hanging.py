"""Where an application hangs that does not become ready: said in time, before the supervisor gives the start up.

Runs inside the application's process under any CPython from 3.10.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

from . import native

# So much (a part of the start timeout, and seconds) before the end it is looked where the main thread is.
MARGIN, LONGEST_MARGIN = 0.1, 0.3
# Whoever calls one of these at import has started a server, and never comes back.
SERVERS = {"serve_forever", "run_simple", "run_forever", "run_app"}
OWN_SERVER = ". That is a server of its own, and Stoa is the server: move it below `if __name__ == '__main__':`"

Told = Callable[[str, str, str], None]


def watch(seconds: int, places: Sequence[str], tell: Told) -> Callable[[], None]:
    """Watch the thread that calls this; return what ends that.

    ``tell`` is called in another thread with why, where and the stack, unless that comes before the start timeout
    (``seconds``). ``places`` are the directories of the application's own code.
    """
    over, thread = native.allocate_lock(), native.get_ident()
    over.acquire()

    def wait() -> None:
        if not over.acquire(timeout=seconds - min(LONGEST_MARGIN, seconds * MARGIN)):
            frame = sys._current_frames().get(thread)
            stack = traceback.extract_stack(frame) if frame else []
            tell(f"it was not ready within {seconds} seconds and was stopped", *where(stack, places))

    def end() -> None:
        with suppress(RuntimeError):  # It is said once that it is ready.
            over.release()

    # Without an entry among threading's threads, which gevent would want to patch.
    native.start_new_thread(wait, ())
    return end


def where(stack: Sequence[traceback.FrameSummary], places: Sequence[str]) -> tuple[str, str]:
    """Say in which line of the application it is, and show the stack from there on; two times "" where in none."""
    own = [at for at, frame in enumerate(stack) if _is_own(frame.filename, places)]
    if not own:
        return "", ""
    last = stack[own[-1]]
    place = next(place for place in places if _is_below(last.filename, place))
    words = f"; it was at line {last.lineno} of {os.path.relpath(last.filename, place)}: {last.line}"
    if any(frame.name in SERVERS for frame in stack[own[-1] :]):
        words += OWN_SERVER
    return words, "Stack (most recent call last):\n" + "".join(traceback.format_list(list(stack[own[0] :])))


def _is_own(filename: str, places: Sequence[str]) -> bool:
    return "site-packages" not in filename and any(_is_below(filename, place) for place in places)


def _is_below(filename: str, place: str) -> bool:
    return filename.startswith(place.rstrip("/") + "/")
