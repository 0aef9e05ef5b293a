"""One that starts processes without end is found when the machine has many more than before."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Any

import pytest

from webapps.runtime import processes
from webapps.runtime.application import Application, Instance, Worker
from webapps.runtime.crowd import MANY, Crowd
from webapps.runtime.plan import Key
from webapps.runtime.spec import AppSpec, Bounds, Protocol


class Said:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def of_application(self, _label: str, _generation: int, text: str) -> None:
        self.lines.append(text)


def application(most: int) -> Application:
    spec = AppSpec(1, 1, "/x", "", "USER", Protocol.WSGI, bounds=Bounds(processes=most))
    instance = Instance(spec, Key(1, "python"), 0.0, 0.0, workers={"a": Worker("a", pid=77, start=5)})
    return Application(1, "/x", current=instance)


@pytest.mark.parametrize(
    ("total", "group", "ended"),
    [(MANY + 10, 12, True), (MANY + 10, 11, False), (MANY + 9, 12, False), (9, 12, False)],
)
def test_it_is_ended_when_it_has_more_than_it_may(
    monkeypatch: pytest.MonkeyPatch, total: int, group: int, ended: bool
) -> None:
    said, killed, totals = Said(), list[Any](), iter([10, total])
    monkeypatch.setattr(processes, "send_signal", lambda *what, group: killed.append((*what, group)))
    crowd = Crowd(said, lambda: next(totals), lambda: Counter({77: group, 1: 500}))  # type: ignore[arg-type]

    crowd.look([application(10)])

    assert killed == ([(77, 5, signal.SIGKILL, True)] if ended else [])
    assert ("it has started 11 processes, and may have 10" in "".join(said.lines)) is ended


def test_what_is_quiet_is_not_looked_at_again() -> None:
    totals, counted = iter([10, 500, 500, 400, 650]), list[int]()

    def groups() -> Counter[int]:
        counted.append(1)
        return Counter()

    crowd = Crowd(Said(), lambda: next(totals), groups)  # type: ignore[arg-type]

    for looks in (1, 1, 1, 2):
        crowd.look([])
        assert len(counted) == looks


def test_groups_are_counted() -> None:
    assert processes.groups()[os.getpgrp()] >= 1
