"""Compare wish and fact of one application and name the smallest steps. Pure: no clock, no process."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Step(enum.Enum):
    """What the supervisor can do for one application."""

    BIND = "bind its socket"
    START = "start a newcomer"
    PROMOTE = "let the newcomer take over"
    DISCARD = "stop the newcomer, which is not wished any more"
    FORK = "start a worker that is missing"
    RETIRE = "let a worker leave that is not needed any more"
    SLEEP = "stop what runs, and watch the socket"
    DRAIN = "let the current instance finish and leave"
    UNBIND = "close its socket"


@dataclass(frozen=True)
class Key:
    """What makes one generation differ from another: the row's revision, the interpreter and the account it runs as.

    ``edition`` counts how often a revision was begun anew: recycled, or its files edited. ``user`` is "" where that is
    the account that all run as.
    """

    revision: int
    python: str
    edition: int = 0
    user: str = ""

    @property
    def place(self) -> tuple[str, str]:
        """Which zygote forks it."""
        return self.python, self.user


@dataclass(frozen=True)
class Fact:
    """What is, of one application. Times are seconds of one clock.

    ``asleep`` is what it was put to sleep as, ``called`` whether somebody has connected since, ``sleepy`` whether it
    may be asleep before anybody asked for it, ``idle`` whether its idle time has passed.
    """

    bound: bool = False
    routed: bool = False
    current: Key | None = None
    missing_workers: int = 0
    spare_workers: int = 0
    fork_at: float = 0.0
    newcomer: Key | None = None
    newcomer_ready: bool = False
    leaving: bool = False
    failed: Key | None = None
    retry_at: float = 0.0
    asleep: Key | None = None
    called: bool = False
    sleepy: bool = False
    idle: bool = False


def steps(wish: Key | None, fact: Fact, now: float) -> list[Step]:
    """Return what to do next, in order; empty where fact is as wished or only time is needed.

    ``wish`` is None where no process is wished: disabled, deleted, or files only.
    """
    if wish is None:
        return _away(fact)
    if not fact.bound:
        return [Step.BIND, Step.SLEEP if fact.sleepy else Step.START]
    if fact.newcomer:
        return _with_newcomer(wish, fact)
    if fact.current == wish:
        return _serving(fact, now)
    if fact.current is None and _may_sleep(wish, fact):
        return [] if fact.asleep == wish else [Step.SLEEP]
    if fact.failed == wish and (fact.current or now < fact.retry_at):
        return []  # The old one serves on, or the pause is not over.
    return [Step.START] if now >= fact.retry_at or fact.failed != wish else []


def _away(fact: Fact) -> list[Step]:
    if fact.newcomer:
        return [Step.DISCARD]
    if fact.routed:
        return []  # The front has to let go first, or it would send requests to nobody.
    if fact.current:
        return [Step.DRAIN]
    return [Step.UNBIND] if fact.bound and not fact.leaving else []


def _with_newcomer(wish: Key, fact: Fact) -> list[Step]:
    if fact.newcomer != wish:
        return [Step.DISCARD]
    return [Step.PROMOTE] if fact.newcomer_ready else []


def _serving(fact: Fact, now: float) -> list[Step]:
    if fact.idle:
        return [Step.SLEEP]
    if fact.missing_workers:
        return [Step.FORK] if now >= fact.fork_at else []
    return [Step.RETIRE] if fact.spare_workers else []


def _may_sleep(wish: Key, fact: Fact) -> bool:
    """Say whether nobody wants it to run: it was put to sleep, or may be so from the start, and nobody has called."""
    return not fact.called and (fact.asleep == wish or (fact.sleepy and fact.failed != wish))
