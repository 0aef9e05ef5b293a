"""Go on with what an earlier supervisor left: sockets, sleepers, zygotes, workers, as the keeper remembers them."""

from __future__ import annotations

import signal
import socket
import time
from contextlib import AbstractContextManager
from typing import Any

from . import processes, wire
from .application import Application, Instance, Worker, least
from .fleet import DRAIN, Fleet
from .gauge import Gauge
from .held import Held
from .plan import Key
from .pulse import Pulse
from .spec import AppSpec

LEFT = "Stoa itself was started anew"


class Adoption:
    """One supervisor's taking over."""

    def __init__(self, fleet: Fleet, held: dict[str, Held]) -> None:
        self.fleet = fleet
        self.held = held

    def take_over(self) -> None:
        """Take what is held, in the order in which one needs the other."""
        for key, kept in self._of_kind("socket"):
            with self._care(kept):
                self._socket(self._application(int(key), kept.meta["label"]), kept)
        for key, kept in self._of_kind("asleep"):
            with self._care(kept):
                self._sleeper(self._application(int(key), kept.meta["label"]), kept.meta)
        for key, kept in self._of_kind("learnt"):
            self.fleet.crew.zygotes.learnt[key] = kept.meta["modules"]
        for key, kept in self._of_kind("worker"):
            with self._care(kept):
                self._worker(key, kept.meta)
        zygotes = {f"unix:{key}": kept.meta for key, kept in self._of_kind("unix") if key.startswith("zygote:")}
        for kept in self.held.values():
            wire.close_all(kept.fds)
        self.fleet.crew.adopt_zygotes(zygotes)

    def _of_kind(self, kind: str) -> list[tuple[str, Held]]:
        found = ((key.partition(":"), kept) for key, kept in self.held.items())
        return [(name, kept) for (first, _colon, name), kept in found if first == kind]

    def _care(self, kept: Held) -> AbstractContextManager[None]:
        """Take the others over all the same where one cannot be."""
        return self.fleet.faults.of(kept.meta.get("label", ""), "taking it over")

    def _socket(self, application: Application, kept: Held) -> None:
        application.listener = socket.socket(fileno=kept.fds.pop())
        application.listener.setblocking(False)

    def _sleeper(self, application: Application, meta: dict[str, Any]) -> None:
        key = Key(**meta["key"])
        application.edition = key.edition
        application.slept = AppSpec.from_dict(meta["spec"]) if "spec" in meta else None
        if application.listener:
            self.fleet.watch_sleeper(application, key)

    def _worker(self, key: str, meta: dict[str, Any]) -> None:
        if not processes.is_alive(meta["pid"], meta["start"]):
            self.fleet.keeper.drop(f"worker:{key}")
            return
        application = self._application(meta["app"], meta["label"])
        # One that an earlier keeper left is replaced: what is wished now is an edition further.
        left = bool(meta.get("left")) and not meta["leaving"]
        application.edition = max(application.edition, meta["edition"] + left)
        application.why = LEFT if left else application.why
        spec = AppSpec.from_dict(meta["spec"])
        worker = Worker(key, meta["pid"], meta["start"], lifetime=meta["lifetime"])
        page = self.held.get(f"gauge:{key}")
        worker.gauge = Gauge(page.fds[0]) if page else None
        # It may have said ready to nobody; by its first heartbeat it accepts requests.
        worker.ready = meta["ready"] or bool(worker.gauge and worker.gauge.last_beat)
        leaving = meta["leaving"] or not worker.ready
        generation = Key(spec.revision, meta["python"], meta["edition"], meta.get("user", ""))
        instance = self._instance(application, generation, spec, leaving=leaving)
        self.fleet.crew.adopt(application, instance, worker)
        instance.target = max(least(spec), len(instance.workers))

    def _instance(self, application: Application, key: Key, spec: AppSpec, *, leaving: bool) -> Instance:
        now = time.monotonic()
        known = application.leaving if leaving else [application.current] if application.current else []
        for instance in known:
            if instance.key == key:
                return instance
        instance = Instance(spec, key, began=now, deadline=now + DRAIN, ready_since=now, pulse=Pulse(now))
        current = application.current
        newer = current is None or _order(current.key) < _order(key)
        if leaving or not newer:
            application.leaving.append(instance)
            return instance
        if current:
            self.fleet.leave(application, current, signal.SIGTERM)
        application.current = instance
        return instance

    def _application(self, app_id: int, label: str) -> Application:
        return self.fleet.applications.setdefault(app_id, Application(app_id, label))


def _order(key: Key) -> tuple[int, int]:
    return key.revision, key.edition
