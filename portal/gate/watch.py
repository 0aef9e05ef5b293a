"""Keep what the gate knows of the rows fresh, without ever keeping a request waiting for the database."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from webapps.runtime.rows import NotOurs, check_not_gone

from .snapshot import Snapshot

#: How often (seconds) the counters are looked at, and after how long everything is read again all the same.
LOOK, AGAIN = 0.5, 30.0
#: What has not been confirmed for so long (seconds) is not acted on: an ended sign-in must not outlive it.
FRESH = 5.0


class Watch:
    """Look at the counters twice a second in a thread of its own; read the rows when they have moved.

    ``counters`` and ``read`` ask the database and may raise anything.
    """

    def __init__(
        self,
        counters: Callable[[], tuple[int, int]],
        read: Callable[[], Snapshot],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters, self.read, self.clock = counters, read, clock
        self.snapshot: Snapshot | None = None
        self.confirmed = self.read_at = float("-inf")
        self.trouble = ""
        self.looks = self.wanted = 0
        self.looked = threading.Condition()

    def start(self, patience: float = 2.0) -> None:
        """Look until the process ends; return after the first look: requests may have waited for this process."""
        threading.Thread(target=self._run, name="rows", daemon=True).start()
        with self.looked:
            self.looked.wait_for(lambda: self.looks > 0, patience)

    @property
    def fresh(self) -> Snapshot | None:
        """The snapshot, None where the database has not confirmed it lately."""
        return self.snapshot if self.clock() - self.confirmed < FRESH else None

    def _run(self) -> None:
        while True:
            self.look()
            with self.looked:
                self.looks += 1
                self.looked.notify_all()
                self.looked.wait_for(lambda: self.looks < self.wanted, LOOK)

    def look(self) -> None:
        """Look once; where the database does not answer, what is known grows old."""
        begun = self.clock()
        try:
            counters = self.counters()
            known = self.snapshot
            if known is None or counters != known.counters or begun - self.read_at > AGAIN:
                self._take(self.read(), begun)
        except NotOurs as error:
            # Nobody can end a sign-in in a database that is not there: what is known holds.
            self._complain(str(error), str(error))
            self.confirmed = begun
            return
        except Exception as error:
            self._complain(f"the database does not answer the gate: {error}", str(error) or repr(error))
            return
        self.trouble, self.confirmed = "", begun

    def _take(self, fresh: Snapshot, begun: float) -> None:
        known = self.snapshot
        if known:
            counted = fresh.counters[0] > known.counters[0]
            check_not_gone(len(known.doors), len(fresh.doors), counted=counted)
        self.snapshot, self.read_at = fresh, begun

    def _complain(self, words: str, trouble: str) -> None:
        if not self.trouble:
            print(words, file=sys.stderr, flush=True)
        self.trouble = trouble

    def look_now(self, patience: float = 2.0) -> None:
        """Have the rows looked at now, and wait for that at most so many seconds."""
        with self.looked:
            wanted = self.looks + 2  # The look that is under way may have begun before what is looked for.
            self.wanted = max(self.wanted, wanted)
            self.looked.notify_all()
            self.looked.wait_for(lambda: self.looks >= wanted, patience)
