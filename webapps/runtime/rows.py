"""Whether the rows that answer are those that people wished by."""

from __future__ import annotations

#: What to say where all rows have gone and nobody has counted that as a change.
GONE = (
    "the rows of all web applications have gone from the database, and nobody has deleted them: what runs goes on as "
    "it was. Put the database back, and Stoa goes on by itself; to go on without them, restart Stoa"
)


class NotOurs(Exception):
    """What answers is not the database that was wished by; the message names the cause and the next move."""


def check_not_gone(before: int, now: int, *, counted: bool) -> None:
    """Raise NotOurs where there were rows and there are none, though no change was ``counted``."""
    if before and not now and not counted:
        raise NotOurs(GONE)
