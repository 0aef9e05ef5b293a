"""What a zygote behind walls says of its workers: packages of its environment run in it, and can have said anything."""

from __future__ import annotations

import re
import select
from dataclasses import dataclass
from typing import Any

from . import processes, wire

# What is said, and how many descriptors come with it.
SAID = {"filter": 1, "hello": 0, "forked": 1, "ended": 0}
MOST = 200


class Refused(Exception):
    """What was said is none of what a zygote says, or is not so."""


@dataclass(frozen=True)
class Word:
    """One word: ``says`` which, of the worker ``key``, which is the process ``pid`` (0 where it has gone already)."""

    says: str
    key: str = ""
    pid: int = 0
    start: int = 0
    status: int = 0
    fds: tuple[int, ...] = ()

    @classmethod
    def of(cls, message: Any, fds: list[int], first: int) -> Word:
        """Read it; ``first`` is the first process of the zygote's namespace. Raises Refused."""
        try:
            return cls._of(message, fds, first)
        except Refused:
            wire.close_all(fds)
            raise

    @classmethod
    def _of(cls, message: Any, fds: list[int], first: int) -> Word:
        says = next((word for word in SAID if isinstance(message, dict) and word in message), "")
        if not says or len(fds) != SAID[says]:
            raise Refused("it is none of what a zygote says")
        if says == "forked":
            pid = _below(fds[0], first)
            return cls(says, _text(message["forked"]), pid, processes.born_at(pid), fds=tuple(fds))
        if says == "ended":
            return cls(says, _text(message.get("key")), status=_number(message.get("status")))
        return cls(says, fds=tuple(fds))

    def take(self) -> int:
        """Return the descriptor that came with it, which is the caller's to close."""
        return self.fds[0]

    def has_ended(self) -> bool:
        """Say whether the process has ended, by the hold on it that came with its word."""
        poll = select.poll()
        poll.register(self.fds[0], select.POLLIN)
        return bool(poll.poll(0))


def process_of(pidfd: int) -> int:
    """Return the number that a pidfd's process has for us, 0 where it has gone. Raises Refused where it is no pidfd."""
    with open(f"/proc/self/fdinfo/{pidfd}") as info:
        found = re.search(r"^Pid:\s*(-?\d+)$", info.read(), re.MULTILINE)
    if not found:
        raise Refused("a worker is named by a pidfd")
    if found[1] == "0":
        raise Refused("this process is in no namespace of ours")
    return max(int(found[1]), 0)


def _below(pidfd: int, first: int) -> int:
    """Return the number of a process below another, 0 where it has gone. Raises Refused where it is elsewhere."""
    pid = process_of(pidfd)
    if pid and not processes.is_below(pid, first) and process_of(pidfd):
        raise Refused(f"process {pid} is not below the zygote")
    return pid if process_of(pidfd) else 0


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MOST:
        raise Refused("a worker's key is a word")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or not -64 <= value <= 255:
        raise Refused("a status is a number")
    return value
