"""A control group for each namespace: what its workers may take together (cgroups(7); ``cgroups`` says of whom)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from . import cgroups, processes
from .confines import PROCESSES
from .events import Events
from .spec import Bounds

# The kernel's weights of nice 0 to 19 (sched_prio_to_weight in kernel/sched/core.c); cpu.weight 100 is nice 0.
WEIGHTS = (1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23, 18, 15)
# So often is looked whether a worker has forked meanwhile what is still where the worker was.
ROUNDS = 10


def weight(nice: int) -> int:
    """Return the CPU weight (1 to 100) of a namespace's nice value (0 to 19)."""
    return max(1, round(WEIGHTS[nice] * 100 / WEIGHTS[0]))


def most_processes(bounds: Iterable[Bounds]) -> int:
    """Return how many processes and threads workers with these bounds may have together.

    That is the sum of what each may have, so that none is limited more than by its own limit, and once more the
    greatest for what earlier ones have left behind.
    """
    each = [bound.processes or PROCESSES for bound in bounds]
    return sum(each) + max(each, default=PROCESSES)


class NamespaceGroups:
    """Make the groups, keep their limits, move workers into them; nothing at all where no group is delegated."""

    def __init__(
        self,
        delegated: cgroups.Delegated,
        events: Events,
        below: Callable[[int], list[int]] = processes.below,
    ) -> None:
        self.delegated = delegated
        self.root = delegated.root
        self.events = events
        self.below = below
        self.workers: dict[str, dict[str, Bounds]] = {}
        self.wished: dict[str, Bounds] = {}
        self.written: dict[Path, str] = {}
        self.killed = {self._name(group): _killed(group) for group in cgroups.of_namespaces(self.root)}

    @classmethod
    def standing(cls, events: Events) -> NamespaceGroups:
        """Return those of the Stoa that this process belongs to."""
        return cls(cgroups.standing(), events)

    def enter(self, namespace: str, key: str, bounds: Bounds) -> None:
        """Make room for a worker that is about to be forked. Raises OSError where its limits cannot be set."""
        if self.root is None:
            return
        self.workers.setdefault(namespace, {})[key] = bounds
        self.wished.setdefault(namespace, bounds)
        group = self._group(namespace)
        group.mkdir(exist_ok=True)
        self.killed.setdefault(namespace, 0)
        self._limit(namespace)

    def take_in(self, namespace: str, pid: int) -> str:
        """Move a worker and what it has started already; return in words what prevented it."""
        if self.root is None:
            return ""
        try:
            if self._is_inside(pid, self._group(namespace) / "cgroup.procs"):
                return ""
        except OSError as error:
            return f"it cannot be moved into the control group of {namespace}: {error}"
        return f"it forks faster than it can be moved into the control group of {namespace}"

    def _is_inside(self, pid: int, procs: Path) -> bool:
        """Move a process and what is below it; what they fork after that is inside by itself."""
        outside = [pid]
        for _round in range(ROUNDS):
            for one in outside:
                _move(one, procs)
            # In this order: what is forked after the first look is inside, and what has ended is no matter.
            known, inside = self.below(pid), set(procs.read_text().split())
            outside = [one for one in known if str(one) not in inside and processes.started_at(one) is not None]
            if not outside:
                return True
        return False

    def adopt(self, namespace: str, key: str, bounds: Bounds, pid: int) -> None:
        """Go on with a worker that an earlier supervisor had forked, maybe in another group."""
        try:
            self.enter(namespace, key, bounds)
            problem = self.take_in(namespace, pid)
        except OSError as error:
            problem = str(error)
        if problem:
            self.events.say(f"process {pid} stays outside the control group of {namespace}: {problem}", "warning")

    def leave(self, namespace: str, key: str) -> None:
        """Hear that a worker has gone; its group's limit follows with the next look."""
        self.workers.get(namespace, {}).pop(key, None)

    def look(self, wished: Mapping[str, Bounds]) -> None:
        """Have limits follow, tell of want of memory, remove the groups of namespaces that have gone."""
        if self.root is None:
            return
        self.wished = dict(wished)
        for namespace in list(self.killed):
            if namespace not in wished and not self.workers.get(namespace):
                self._remove(namespace)
                continue
            try:
                self._limit(namespace)
            except OSError as error:
                self.events.say(f"the control group of {namespace} does not take its limits: {error}", "error")
            self._tell_of_killed(namespace)

    def loosen(self) -> None:
        """Let the service manager start another keeper where the one that was killed had been."""
        if self.root:
            cgroups.loosen(self.root)

    def _limit(self, namespace: str) -> None:
        workers = self.workers.get(namespace, {})
        bounds = self.wished.get(namespace) or next(iter(workers.values()), Bounds())
        limits = {
            "pids": ("pids.max", str(most_processes(workers.values()))),
            "cpu": ("cpu.weight", str(weight(bounds.nice))),
            "memory": ("memory.max", str(bounds.memory_all or "max")),
        }
        for controller in self.delegated.controllers:
            name, value = limits[controller]
            path = self._group(namespace) / name
            if self.written.get(path) != value:
                cgroups.write(path, value)
                self.written[path] = value

    def _tell_of_killed(self, namespace: str) -> None:
        killed = _killed(self._group(namespace))
        more, self.killed[namespace] = killed - self.killed[namespace], killed
        if more > 0:
            most = self.wished.get(namespace, Bounds()).memory_all
            limit = f"; memory of all is {most >> 20} MB" if most else ""
            self.events.say(
                f"{namespace}: the kernel has ended {more} of its processes for want of memory{limit}", "warning"
            )

    def _remove(self, namespace: str) -> None:
        group = self._group(namespace)
        if cgroups.removed(group):
            del self.killed[namespace]
            self.workers.pop(namespace, None)
            self.written = {path: value for path, value in self.written.items() if path.parent != group}

    def _group(self, namespace: str) -> Path:
        assert self.root
        return self.root / f"{cgroups.OF_NAMESPACE}{namespace}"

    def _name(self, group: Path) -> str:
        return group.name.removeprefix(cgroups.OF_NAMESPACE)


def _move(pid: int, procs: Path) -> None:
    try:
        cgroups.write(procs, pid)
    except OSError as error:
        if error.errno != errno.ESRCH:  # It has ended meanwhile.
            raise


def _killed(group: Path) -> int:
    """Return how many processes of a group the kernel has ended for want of memory."""
    try:
        lines = (group / "memory.events").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
