"""Notice an application that starts processes without end: the kernel counts nobody's who is root (getrlimit(2))."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from . import processes
from .application import Application, Instance, Worker
from .confines import PROCESSES
from .events import Events

# Only when the machine has so many processes and threads more than when it was looked last are they counted one by one.
MANY = 200
LOADAVG = Path("/proc/loadavg")


def of_the_machine() -> int:
    """Return how many processes and threads there are (proc(5), loadavg: the number behind the slash)."""
    return int(LOADAVG.read_text().split()[3].partition("/")[2])


class Crowd:
    """Count what workers have started, when there is a reason to. What they start belongs to their process group."""

    def __init__(
        self,
        events: Events,
        total: Callable[[], int] = of_the_machine,
        groups: Callable[[], Counter[int]] = processes.groups,
    ) -> None:
        self.events, self.total, self.groups = events, total, groups
        self.quiet = total()

    def look(self, applications: Iterable[Application]) -> None:
        """End each worker whose group is larger than it may be, in one stroke, which no fork escapes."""
        total = self.total()
        self.quiet = min(self.quiet, total)
        if total < self.quiet + MANY:
            return
        groups = self.groups()
        for application, instance, worker in _workers(applications):
            started, most = groups[worker.pid] - 1, instance.spec.bounds.processes or PROCESSES
            if started > most:
                words = f"process {worker.pid} is ended: it has started {started} processes, and may have {most}"
                self.events.of_application(application.label, instance.key.revision, words)
                processes.send_signal(worker.pid, worker.start, signal.SIGKILL, group=True)
        self.quiet = total


def _workers(applications: Iterable[Application]) -> Iterator[tuple[Application, Instance, Worker]]:
    for application in applications:
        for instance in application.instances():
            for worker in instance.workers.values():
                if worker.pid:
                    yield application, instance, worker
