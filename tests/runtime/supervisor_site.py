"""A supervisor of two applications whose keeper, front and zygotes do as they are told, and whose loop a test turns."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from webapps.runtime import events, keeperlink, wire
from webapps.runtime.application import Application
from webapps.runtime.frontkeeper import FrontKeeper
from webapps.runtime.heard import Heard
from webapps.runtime.loop import Loop
from webapps.runtime.spec import AppSpec, Limits, Protocol, Route, State
from webapps.runtime.supervisor import Supervisor, Wishes
from webapps.runtime.walls import Means


class QuietKeeper(keeperlink.KeeperLink):
    """A keeper that keeps nothing, and starts nobody."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.requests: list[dict[str, Any]] = []

    def _send(self, request: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        json.dumps(request).encode()
        if request["do"] == "start":
            self.started.append(request["name"])
            self.requests.append(dict(request))

    def _pids(self, request: Mapping[str, Any]) -> dict[str, int]:
        self._send(request)
        return {}


class QuietFront(FrontKeeper):
    """A front that takes all routes at once."""

    def __init__(self) -> None:
        self.routed: set[int] = set()
        self.refused, self.error, self._tls = {}, "", None
        self._wanted, self._applied, self._busy = None, None, False

    @property
    def warnings(self) -> list[str]:
        return []

    def want(self, routes: Sequence[Route], defaults: dict[str, str]) -> None:
        """Take them."""
        self.routed = {route.id for route in routes}


class QuietZygote:
    """What forks nobody: the site says that a worker is ready."""

    python, greeted = "python", True

    def fork(self, *_given: object) -> None:
        """Hear that a worker is wished."""


class Site:
    """``bad`` and ``good`` are applications with DEBUG in namespaces of their own, BAD and GOOD."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.specs = [self._make(1, "bad"), self._make(2, "good")]
        (home / "run").mkdir()
        patch.setenv("STOA_WALLS", "0")
        self.fd = os.open(home / "events", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        wishes = Wishes(lambda: 1, lambda _catching: self.specs, dict)
        told = events.Events(self.fd, "supervisor")
        self.supervisor = Supervisor(home, wishes, QuietFront(), QuietKeeper(), told, Loop())
        patch.setattr(self.supervisor.fleet.crew.zygotes, "get", lambda _place: QuietZygote())
        self.supervisor.fleet.confines.machine.known[os.geteuid()] = Means()

    def _make(self, number: int, name: str) -> AppSpec:
        directory, namespace = self.home / "csp" / name, name.upper()
        directory.mkdir(parents=True)
        (directory / "app.py").write_text("x = 1\n")
        envs = self.home / "namespaces" / namespace / "envs"
        for old in ("1", "2"):
            (envs / old / "bin").mkdir(parents=True)
            (envs / old / "bin" / "python").symlink_to("/bin/sh")
        (envs.parent / "env").symlink_to("envs/2")
        limits, path = Limits(processes_min=1), str(directory)
        return AppSpec(number, 1, f"/{name}", "", namespace, Protocol.WSGI, path, "app", debug=True, limits=limits)

    def close(self) -> None:
        """Leave no descriptor open."""
        os.close(self.fd)
        fleet = self.supervisor.fleet
        for key in list(fleet.crew.workers):
            fleet.crew.forget(key)
        for application in self.applications:
            if application.listener:
                application.listener.close()
        fleet.loop.selector.close()
        wire.close_all([fleet.loop.reading, fleet.loop.writing])

    @property
    def applications(self) -> list[Application]:
        return list(self.supervisor.fleet.applications.values())

    def of(self, name: str) -> Application:
        """Return one application."""
        return next(application for application in self.applications if application.label == f"/{name}")

    def tick(self, times: int = 3) -> None:
        """Have the supervisor look at everything, without pauses, and newcomers be ready as soon as they are forked."""
        for _tick in range(times):
            self.supervisor.tidy_at = 0.0
            for application in self.applications:
                application.retry_at = 0.0
                self.supervisor.fleet.looks.forget(application.id)
            self.supervisor.tick()
            for application in self.applications:
                newcomer = application.newcomer
                for worker in list(newcomer.workers.values()) if newcomer else []:
                    with self.supervisor.faults.of(application.label, "hearing a newcomer"):
                        self.supervisor.fleet.crew._heard(application, newcomer, worker, Heard(True))  # type: ignore[arg-type]

    def runs(self, name: str) -> bool:
        """Say whether an application runs, has its route, and is well."""
        application = self.of(name)
        routed = application.id in self.supervisor.front.routed
        return application.state is State.RUNNING and routed and not application.fault

    def said(self, words: str) -> int:
        """Count the lines of messages.log that have these words."""
        return sum(words in line for line in (self.home / "events").read_text().splitlines())
