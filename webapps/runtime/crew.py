"""The worker processes of all applications, and the zygotes that fork them: what the supervisor knows of each."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any, Protocol

from . import gauge, processes, wire
from .application import Application, Instance, Worker
from .confines import Confines
from .faults import Faults
from .heard import MOST, MOST_PIECES, Heard
from .held import PIPE
from .keeperlink import KeeperGone, KeeperLink
from .loop import Loop
from .nsgroups import NamespaceGroups
from .zygotes import Place, Zygote, Zygotes

# A worker is replaced after its share more or less of Recycle after requests: not all at once.
JITTER = 0.1

Known = tuple[Application, Instance, Worker]


class Judge(Protocol):
    """Who decides what it means that a worker is ready, has failed or has ended."""

    def worker_ready(self, application: Application, instance: Instance) -> None:
        """Hear that a worker accepts requests."""

    def worker_failed(
        self,
        application: Application,
        instance: Instance,
        reason: str,
        detail: str = "",
        remedy: str = "",
        where: str | None = None,
    ) -> None:
        """Hear that a worker cannot serve, and why; ``where`` it hangs, if that is why."""

    def worker_ended(self, application: Application, instance: Instance, worker: Worker, status: int | None) -> None:
        """Hear that a worker's process has gone; no status where only the kernel's handle told."""


class Crew:
    """Have workers forked, hear what they say, signal them, and notice their ends."""

    def __init__(
        self,
        run_dir: Path,
        keeper: KeeperLink,
        loop: Loop,
        judge: Judge,
        confines: Confines,
        groups: NamespaceGroups,
        faults: Faults,
    ) -> None:
        self.faults = faults
        self.confines = confines.of
        self.groups = groups
        self.keeper = keeper
        self.loop = loop
        self.judge = judge
        self.workers: dict[str, Known] = {}
        self.zygotes = Zygotes(run_dir, keeper, self._watch_zygote, confines.nest)

    # Starting

    def fork(self, application: Application, instance: Instance) -> None:
        """Ask the interpreter's zygote for one more worker."""
        worker = Worker(f"{application.id}:{instance.key.revision}:{instance.forked}:{time.time_ns()}")
        worker.lifetime = round(instance.spec.limits.max_requests * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
        instance.forked += 1
        instance.workers[worker.key] = worker
        self.workers[worker.key] = (application, instance, worker)
        ends: list[int] = []
        try:
            self._have_forked(application, instance, worker, ends)
        except KeeperGone:
            raise
        except Exception as error:
            if not isinstance(error, OSError):
                self.faults.note(application.label, "starting it", error)
            self.forget(worker.key)
            self.judge.worker_failed(application, instance, f"it cannot be started: {error}")
        finally:
            wire.close_all(ends)

    def _have_forked(self, application: Application, instance: Instance, worker: Worker, ends: list[int]) -> None:
        """Give a worker its pipes and its gauge, and have its zygote fork it; ``ends`` are ours to close."""
        worker.ready_fd, writing = os.pipe()
        ends.append(writing)
        for stream in ("out", "err"):
            ends.append(self._output(application, instance, worker, stream))
        ends.append(self._page(worker))
        os.set_blocking(worker.ready_fd, False)
        self.loop.watch(worker.ready_fd, lambda _fd: self._ready_says(worker.key))
        said, confines = application.said(instance.key), self.confines(instance.spec)
        self.groups.enter(instance.spec.namespace, worker.key, instance.spec.bounds)
        zygote = self.zygotes.get(instance.key.place)
        fds = [application.listener.fileno(), *ends]  # type: ignore[union-attr]
        zygote.fork(worker.key, _marked(application, instance), confines, said, fds)

    def _page(self, worker: Worker) -> int:
        """Make a worker's gauge, and have the keeper hold it for the next supervisor; return its descriptor."""
        page = gauge.make()
        worker.gauge = gauge.Gauge(page)
        self.keeper.hold(f"gauge:{worker.key}", {}, [page])
        return page

    def _output(self, application: Application, instance: Instance, worker: Worker, stream: str) -> int:
        reading, writing = os.pipe()
        meta = {
            "file": "WSGI",
            "label": application.label,
            "generation": instance.key.revision,
            "stream": stream,
        }
        self.keeper.hold(f"{PIPE}{worker.key}:{stream}", meta, [reading])
        os.close(reading)
        return writing

    def note(self, application: Application, instance: Instance, worker: Worker) -> None:
        """Have the keeper remember a worker, for the next supervisor."""
        if not worker.pid:
            return
        meta = {
            "app": application.id,
            "label": application.label,
            "spec": instance.spec.to_dict(),
            "python": instance.key.python,
            "user": instance.key.user,
            "pid": worker.pid,
            "start": worker.start,
            "ready": worker.ready,
            "leaving": instance in application.leaving,
            "edition": instance.key.edition,
            "lifetime": worker.lifetime,
        }
        self.keeper.hold(f"worker:{worker.key}", meta)

    def adopt(self, application: Application, instance: Instance, worker: Worker) -> None:
        """Go on with a worker that an earlier supervisor had forked."""
        instance.workers[worker.key] = worker
        self.workers[worker.key] = (application, instance, worker)
        self.groups.adopt(instance.spec.namespace, worker.key, instance.spec.bounds, worker.pid)
        if not worker.ready:
            self.signal(worker, signal.SIGKILL)

    def move(self, worker: Worker, application: Application, instance: Instance) -> None:
        """Have a worker belong to another instance."""
        self.workers[worker.key][1].workers.pop(worker.key)
        instance.workers[worker.key] = worker
        self.workers[worker.key] = (application, instance, worker)

    # What zygotes say

    def _watch_zygote(self, zygote: Zygote) -> None:
        self.loop.watch(zygote.sock, lambda _sock: self._zygote_says(zygote))

    def _zygote_says(self, zygote: Zygote) -> None:
        try:
            received = wire.receive(zygote.sock)
        except (OSError, ValueError, RecursionError):
            received = None
        if received is None:
            self._zygote_ended(zygote)
            return
        zygote.greeted = True
        try:
            self._zygote_said(zygote, received[0])
        except KeeperGone:
            raise
        except Exception as error:  # Packages of its environment run in it: what it says may be anything.
            self.faults.note(zygote.python, "hearing its zygote", error)
            self._zygote_ended(zygote)

    def _zygote_said(self, zygote: Zygote, message: wire.Message) -> None:
        if "forked" in message:
            self._forked(zygote, message["forked"], message["pid"])
        elif "ended" in message:
            if self._is_of(zygote, message["key"]):
                self._ended(message["key"], message["status"])
        elif "children" in message:
            self._kill_strangers(zygote, message["children"])

    def _is_of(self, zygote: Zygote, key: str) -> bool:
        """Say whether a worker is one of a zygote's: it says nothing of others."""
        return key in self.workers and self.workers[key][1].key.place == zygote.place

    def _forked(self, zygote: Zygote, key: str, pid: int) -> None:
        """Take a process for a worker where it is below its zygote, whoever says so."""
        start = processes.born_at(pid)
        if not start:
            return  # It has gone, which is said next.
        # What a zygote leaves that was killed comes to the keeper.
        top = zygote.pid if processes.started_at(zygote.pid) else os.getppid()
        if not processes.is_below(pid, top) and processes.born_at(pid):
            self.faults.note(zygote.python, "hearing its zygote", ValueError(f"process {pid} is none of its own"))
            return
        if not self._is_of(zygote, key):
            processes.send_signal(pid, start, signal.SIGKILL)
            return
        known = self.workers[key]
        worker = known[2]
        if worker.pid:
            return  # It has one.
        worker.pid, worker.start = pid, start
        with self.faults.of(known[0].label, "taking a process in"):
            self._take_in(*known)

    def _take_in(self, application: Application, instance: Instance, worker: Worker) -> None:
        self.note(application, instance, worker)
        problem = self.groups.take_in(instance.spec.namespace, worker.pid)
        if instance in application.leaving or problem:
            self.signal(worker, signal.SIGKILL)  # It was given up before it had a process.
        if problem:
            self.judge.worker_failed(application, instance, problem)

    def _kill_strangers(self, zygote: Zygote, children: dict[str, str]) -> None:
        """Kill workers that a zygote forked for a supervisor that died before it noted them."""
        for pid, key in children.items():
            if key not in self.workers and processes.is_below(int(pid), zygote.pid):
                processes.send_signal(int(pid), processes.started_at(int(pid)) or 0, signal.SIGKILL, group=True)

    def _zygote_ended(self, zygote: Zygote) -> None:
        """Go on without it: its workers serve, and are watched by the kernel's own handles (pidfd_open(2))."""
        self._lose(zygote)
        for key, (application, instance, worker) in list(self.workers.items()):
            if instance.key.place != zygote.place:
                continue
            if not worker.pid:
                self.forget(key)
                self.judge.worker_failed(application, instance, "the zygote ended while it was started")
            else:
                self._watch_pid(key, worker)

    def _lose(self, zygote: Zygote) -> None:
        self.loop.unwatch(zygote.sock)
        self.zygotes.forget(zygote)

    def lose_dead_zygotes(self) -> list[Place]:
        """Let go of the zygotes that ended before they said hello; return whose they were."""
        dead = self.zygotes.dead()
        for zygote in dead:
            self._lose(zygote)
        return [zygote.place for zygote in dead]

    def adopt_zygotes(self, held: dict[str, dict[str, Any]]) -> None:
        """Speak again to the zygotes that an earlier supervisor started; watch the workers of those that went."""
        for key, meta in held.items():
            if self.zygotes.adopt(key.removeprefix("unix:"), meta) is None:
                self.keeper.drop(key)
        for key, (_application, instance, worker) in list(self.workers.items()):
            if instance.key.place not in self.zygotes.by_place:
                self._watch_pid(key, worker)

    def release_zygotes(self, used: set[Place]) -> None:
        """Have the zygotes leave that nothing uses."""
        for zygote in self.zygotes.release(used):
            self.loop.unwatch(zygote.sock)

    # What workers say

    def _ready_says(self, key: str) -> None:
        """Read what a newcomer says, to its end: a process that the application forked may hold the pipe open."""
        known = self.workers.get(key)
        if known is None:
            return
        application, _instance, worker = known
        try:
            data = os.read(worker.ready_fd, 65536)
        except BlockingIOError:
            data = b""  # A process that the application forked holds the other end: what was said is all.
        worker.message += data
        worker.pieces += 1
        heard = Heard.read(worker.message)
        if heard or not data or len(worker.message) > MOST or worker.pieces > MOST_PIECES:
            self._close_ready(worker)
            with self.faults.of(application.label, "hearing a newcomer"):
                self._heard(*known, heard)

    def _heard(self, application: Application, instance: Instance, worker: Worker, heard: Heard | None) -> None:
        if heard is None:
            return  # It said nothing: it ends, or has closed what is not its own. Its end or the deadline tells.
        if not heard.ready:
            worker.reason = heard.reason
            self.judge.worker_failed(application, instance, heard.reason, heard.detail, heard.remedy, heard.where)
            if heard.where is not None:
                self.signal(worker, signal.SIGKILL)
            return
        worker.ready = True
        self.zygotes.learn(instance.key.python, list(heard.modules))
        instance.ready_since = time.monotonic()
        self.note(application, instance, worker)
        self.judge.worker_ready(application, instance)

    def _hear_the_rest(self, key: str) -> None:
        """Read what a worker that has ended said last, before its end is judged."""
        while key in self.workers and self.workers[key][2].ready_fd >= 0:
            self._ready_says(key)

    def _close_ready(self, worker: Worker) -> None:
        if worker.ready_fd >= 0:
            self.loop.unwatch(worker.ready_fd)
            os.close(worker.ready_fd)
            worker.ready_fd = -1

    # Ends

    def signal(self, worker: Worker, number: int) -> None:
        """Signal a worker; SIGKILL is for what it has started too."""
        if worker.pid:
            processes.send_signal(worker.pid, worker.start, number, group=number == signal.SIGKILL)

    def kill(self, instance: Instance) -> None:
        """End an instance at once."""
        for worker in instance.workers.values():
            self.signal(worker, signal.SIGKILL)

    def forget(self, key: str) -> Known | None:
        """Let go of a worker that has ended or never had a process; return what was known of it."""
        known = self.workers.pop(key, None)
        if known is None:
            return None
        _application, instance, worker = known
        instance.workers.pop(key, None)
        self.groups.leave(instance.spec.namespace, key)
        self._close_ready(worker)
        self.keeper.drop(f"worker:{key}")
        self.keeper.drop(f"gauge:{key}")
        if worker.pid:
            # What the worker itself has started belongs to its group, and goes with it.
            try:
                os.killpg(worker.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        return known

    def _ended(self, key: str, status: int | None) -> None:
        self._hear_the_rest(key)
        known = self.forget(key)
        if known:
            with self.faults.of(known[0].label, "noticing the end of a process"):
                self.judge.worker_ended(*known, status)

    def _watch_pid(self, key: str, worker: Worker) -> None:
        try:
            fd = os.pidfd_open(worker.pid)
        except OSError:
            self.loop.call(lambda: self._ended(key, None))
            return
        self.loop.watch(fd, lambda _fd: self._pid_ended(fd, key))

    def _pid_ended(self, fd: int, key: str) -> None:
        self.loop.unwatch(fd)
        os.close(fd)
        self._ended(key, None)


def _marked(application: Application, instance: Instance) -> dict[str, Any]:
    """Return the spec, with the variable by which what the application leaves behind is known."""
    spec = instance.spec.to_dict()
    return {**spec, "environment": {**spec["environment"], processes.APPLICATION: str(application.id)}}
