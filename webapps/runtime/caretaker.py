"""Look after the applications that are awake: read their gauges, and say who is to be begun anew and why."""

from __future__ import annotations

from . import edits, processes
from .application import Application, Instance, Worker
from .events import Events
from .looks import Looks
from .pulse import Beat, Pulse, Reading

# After a replacement for its own sake failed, the next one waits so long (seconds).
PATIENCE = 60.0
UNWATCHED = "Edits are not noticed: its directories hold too much to be looked at. Press Reload after a change."


class Caretaker:
    """Feel the pulse of what serves, once a tick."""

    def __init__(self, events: Events, looks: Looks) -> None:
        self.events = events
        self.looks = looks

    def look_after(self, application: Application, now: float) -> None:
        """Take one reading, and change what is wished where that is called for."""
        instance = application.current
        if instance is None or instance.pulse is None:
            return
        self._feel(instance, instance.pulse, now)
        instance.target = instance.pulse.target(instance.target, instance.spec.limits, now)
        why = self._edited(application, instance, now) or self._complaint(application, instance, instance.pulse, now)
        if why:
            self.events.of_application(application.label, instance.key.revision, f"begins anew: {why}")
            application.renew(why)

    def _feel(self, instance: Instance, pulse: Pulse, now: float) -> None:
        readings = {}
        for worker in instance.workers.values():
            if worker.ready and worker.gauge:
                pulse.beats.setdefault(worker.key, Beat(worker.lifetime))
                readings[worker.key] = _reading(instance, worker)
        pulse.feel(readings, instance.spec.limits, instance.spec.protocol, now)

    def _edited(self, application: Application, instance: Instance, now: float) -> str:
        spec = application.wish or instance.spec  # What was saved last may have other directories.
        if not (spec.debug and spec.directory):
            return ""
        files = self.looks.at(application.id, lambda: edits.stamp(spec), now)
        if files is None:
            return ""  # It is not its turn.
        application.unwatched = "" if files else UNWATCHED
        if not files:
            return ""
        before, application.edits = application.edits, edits.Edits.of(spec, files)
        return "its files were edited" if application.edits.follow(before) else ""

    def _complaint(self, application: Application, instance: Instance, pulse: Pulse, now: float) -> str:
        key, words = pulse.complaint(instance.spec.limits, instance.spec.protocol, now)
        if not key or application.newcomer or now < application.renew_at:
            return ""  # It is being replaced anyway, or what was to replace it did not start a moment ago.
        application.renew_at = now + PATIENCE
        return f"process {instance.workers[key].pid}: {words}"


def _reading(instance: Instance, worker: Worker) -> Reading:
    gauge, limits = worker.gauge, instance.spec.limits
    assert gauge
    ended = gauge.ended  # Before what has begun, so that a request in between counts as busy.
    many = limits.processes_max > 1
    return Reading(
        begun=gauge.begun,
        ended=ended,
        movements=gauge.movements,
        beat=gauge.last_beat,
        memory=worker.memory.reading(worker.pid, limits.memory) if limits.memory else 0,
        cpu=processes.cpu_seconds(worker.pid) if many else 0.0,
    )
