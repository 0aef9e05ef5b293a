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
    DRAIN = "let the current instance finish and leave"
    UNBIND = "close its socket"


@dataclass(frozen=True)
class Key:
    """What makes one generation differ from another: the row's revision and the interpreter it runs under."""

    revision: int
    python: str


@dataclass(frozen=True)
class Fact:
    """What is, of one application. Times are seconds of one clock."""

    bound: bool = False
    routed: bool = False
    current: Key | None = None
    missing_workers: int = 0
    fork_at: float = 0.0
    newcomer: Key | None = None
    newcomer_ready: bool = False
    leaving: bool = False
    failed: Key | None = None
    retry_at: float = 0.0


def steps(wish: Key | None, fact: Fact, now: float) -> list[Step]:
    """Return what to do next, in order; empty where fact is as wished or only time is needed.

    ``wish`` is None where no process is wished: disabled, deleted, or files only.
    """
    if wish is None:
        return _away(fact)
    if not fact.bound:
        return [Step.BIND, Step.START]
    if fact.newcomer:
        return _with_newcomer(wish, fact)
    if fact.current == wish:
        return [Step.FORK] if fact.missing_workers and now >= fact.fork_at else []
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
