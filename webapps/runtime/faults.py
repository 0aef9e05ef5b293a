"""What goes wrong for one application or namespace while the supervisor looks after all: said once, and only theirs."""

from __future__ import annotations

import time
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from .events import Events
from .hostedfiles import plain
from .keeperlink import KeeperGone

# So much of an exception's words is shown, and so many of the calls that led to it are written to the log.
MOST_WORDS = 300
CALLS = 4
# The words of one step for one application may change: they are written no more often than this (seconds).
PAUSE = 60.0
# Whose faults are no application's.
OWN = MACHINE, GROUPS, SOCKET, ROWS = "the machine", "control groups", "control socket", "the rows"

# Whose it is (an application's label or a namespace's name), and what was being done.
Place = tuple[str, str]


class Faults:
    """Catch what one of many raises, so that the others are looked after all the same.

    What the keeper's end raises passes: then there is nobody to look after anything for.
    """

    def __init__(self, events: Events) -> None:
        self.events = events
        self._present: dict[Place, str] = {}
        self._said: dict[Place, tuple[str, float]] = {}

    @contextmanager
    def of(self, whose: str, doing: str) -> Iterator[None]:
        """Have an exception of the block be this one's fault, until the same goes well."""
        try:
            yield
        except KeeperGone:
            raise
        except Exception as error:
            self.note(whose, doing, error)
        else:
            self._present.pop((whose, doing), None)

    def note(self, whose: str, doing: str, error: Exception) -> None:
        """Remember what went wrong, and write it to messages.log where that is new."""
        words = _words(doing, error)
        self._present[whose, doing] = words
        before, until = self._said.get((whose, doing), ("", 0.0))
        now = time.monotonic()
        if words != before and now >= until:
            self._said[whose, doing] = words, now + PAUSE
            calls = traceback.format_exception(error, limit=-CALLS)
            self.events.say(f"{whose}: {words}\n{plain(''.join(calls)).rstrip()}", "error")

    def words(self, *whose: str) -> str:
        """Say what is wrong for any of these, "" where nothing is."""
        return "; ".join(words for (name, _doing), words in self._present.items() if name in whose)

    def forgive(self, whose: str) -> None:
        """Let what has happened to one be over, since it begins anew; what goes wrong still will be seen again."""
        self._present = {place: words for place, words in self._present.items() if place[0] != whose}

    def forget_all_but(self, known: Collection[str]) -> None:
        """Forget those that are gone."""
        self._present = {place: words for place, words in self._present.items() if place[0] in known}
        self._said = {place: said for place, said in self._said.items() if place[0] in known}


def _words(doing: str, error: Exception) -> str:
    said = " ".join(plain(str(error)).split())[:MOST_WORDS]
    return f"Stoa failed {doing}: {type(error).__name__}{': ' if said else ''}{said}"
