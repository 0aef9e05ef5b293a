"""Carry out the plan's steps: bind sockets, have workers forked, watch them, let them go."""

from __future__ import annotations

import os
import pwd
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from . import edits, interpreter, processes, wire
from .apology import Apologies
from .appfiles import last_change, problem_of
from .application import PAUSES, STEADY, Application, Failure, Instance, Worker, now_in_words
from .caretaker import Caretaker
from .confines import Confines
from .crew import Crew
from .events import Events
from .faults import MACHINE, Faults
from .keeperlink import KeeperLink
from .listeners import Listeners
from .looks import Looks
from .loop import Loop
from .nsgroups import NamespaceGroups
from .owners import Owners
from .plan import Key, Step, steps
from .pulse import Pulse
from .rush import Rush
from .spec import AppSpec
from .turns import Turns
from .zygotes import Place

# Longer than the worker's own grace (instance.GRACE), so that only a worker that hangs is killed.
DRAIN = 35.0
# A newcomer that hangs says where it is just before its deadline (hanging.py); on a busy machine that comes late.
LAST_WORDS = 1.0


class Fleet:
    """All applications, and the processes that serve them."""

    def __init__(self, run_dir: Path, keeper: KeeperLink, events: Events, loop: Loop, user: str = "") -> None:
        self.run_dir = run_dir
        self.keeper = keeper
        self.events = events
        self.applications: dict[int, Application] = {}
        self.owners = Owners(user)
        self.confines = Confines(run_dir.parent, self.owners, self._wishes, loop.wake, events.tell)
        self.groups = NamespaceGroups.standing(events)
        self.faults = Faults(events)
        self.listeners = Listeners(run_dir, keeper, pwd.getpwnam(user) if user else None)
        self.apologies = Apologies()
        self.crew = Crew(run_dir, keeper, loop, self, self.confines, self.groups, self.faults)
        self.loop = loop
        self.looks = Looks()
        self.caretaker = Caretaker(events, self.looks)
        self.rush = Rush(lambda: processes.below(keeper.children().get("front", 0)))
        self.turns = Turns()
        self.starters: set[int] = set()
        self.routed: set[int] = set()
        self.carry: dict[Step, Callable[[Application], None]] = {
            Step.BIND: self.listeners.bind,
            Step.START: self._start,
            Step.PROMOTE: self._promote,
            Step.DISCARD: self._discard,
            Step.FORK: self._fork_missing,
            Step.RETIRE: self._retire,
            Step.SLEEP: self._sleep,
            Step.DRAIN: self._drain_current,
            Step.UNBIND: self._put_away,
        }

    # The tick

    def tick(self, routed: set[int]) -> None:
        """Take the smallest steps for every application, then look at the clock."""
        now = time.monotonic()
        for place in self.crew.lose_dead_zygotes():
            self._zygote_failed(place)
        self.routed = routed
        begun = 0
        for application in list(self.applications.values()):
            if application.rests and not application.leaving:
                continue  # A thousand may sleep.
            self._look_at(application, now)
            begun += application.begun
        with self.faults.of(MACHINE, "scheduling the front"):
            self.rush.look(begun, now)
        self._release_zygotes()

    def _look_at(self, application: Application, now: float) -> None:
        """Do all that is due for one application; what one of it raises is its own fault and keeps nothing else off."""
        for doing, look in (
            ("mending its socket", self._mend_socket),
            ("watching its deadlines", self._deadlines),
            ("looking at its processes and files", self.caretaker.look_after),
            ("taking the next step", self._take_steps),
            ("giving up what it began", self._give_up),
            ("answering who waits for it", self._apologise),
        ):
            with self.faults.of(application.label, doing):
                look(application, now)

    def _give_up(self, application: Application, _now: float) -> None:
        """Have a start fail that was cut off before it had a process."""
        fault, newcomer = self.faults.words(application.label), application.newcomer
        if fault and newcomer and not newcomer.workers:
            self._newcomer_failed(application, Failure(newcomer.key, fault))

    def _apologise(self, application: Application, _now: float) -> None:
        """Answer those who came while it was starting; the front answers the others."""
        if application.listener and application.down:
            self.apologies.begin(application.id, application.listener)

    @property
    def edited_now(self) -> bool:
        """Whether an application with DEBUG is awake."""
        return any(app.current and app.current.spec.debug for app in self.applications.values())

    def _take_steps(self, application: Application, now: float) -> None:
        fact = application.fact(application.id in self.routed, now)
        for step in steps(application.wish_key, fact, now):
            self.carry[step](application)

    def _deadlines(self, application: Application, now: float) -> None:
        newcomer = application.newcomer
        if newcomer and not newcomer.ready and now > newcomer.deadline + LAST_WORDS:
            words = f"it was not ready within {newcomer.spec.limits.start_timeout} seconds and was stopped"
            self._newcomer_failed(application, application.hung(newcomer.key, words))
        current = application.current
        if current and application.crashes and current.ready and now - current.ready_since > STEADY:
            application.crashes = 0
        for instance in application.leaving:
            if now > instance.deadline:
                self.events.of_application(
                    application.label, instance.key.revision, "did not leave in time and is killed"
                )
                self.crew.kill(instance)
                instance.deadline = now + DRAIN
        self._look_again(application, now)

    def _look_again(self, application: Application, now: float) -> None:
        """Try a failed application again when its files have changed, without waiting for the pause to end."""
        failure = application.present_failure()
        if not failure or application.current or application.newcomer or not application.wish:
            return
        directory = application.wish.directory
        changed = self.looks.at(application.id, lambda: last_change(directory), now)
        if changed is not None and changed != application.watched:
            application.watched = changed
            application.retry_at = now

    def _wishes(self) -> list[AppSpec]:
        """Return what is wished of every application: each has to be kept from the others."""
        return [application.wish for application in self.applications.values() if application.wish]

    # Sockets

    def _mend_socket(self, application: Application, _now: float) -> None:
        """Bind anew where its socket was shut down, or the file removed; its processes have the old one, and end."""
        listener = application.listener
        if listener is None or (self.listeners.path(application.id).exists() and not wire.is_shut(listener)):
            return
        revision = application.wish.revision if application.wish else 0
        self.events.of_application(application.label, revision, "its listening socket has gone: it gets another")
        self._unbind(application)
        self.listeners.bind(application)
        for instance in filter(None, (application.current, application.newcomer)):
            self.crew.kill(instance)

    def _put_away(self, application: Application) -> None:
        """Close the socket of one that serves no more, and end what its processes have left behind."""
        self._unbind(application)
        if left := processes.end_orphans(os.getppid(), application.id):
            self.events.say(f"{application.label} had left processes behind, which are ended: {left}")

    def _unbind(self, application: Application) -> None:
        self.forget_sleep(application)
        self.listeners.close(application)
        self.confines.forget(application.id)
        application.failure = None

    # Sleeping

    def _sleep(self, application: Application) -> None:
        """Let what runs leave, and wait for the next connection."""
        instance, key, spec = application.current, application.wish_key, application.wish
        if key is None or spec is None:
            return
        self.forget_sleep(application)
        noted = {"key": asdict(key), "label": application.label, "spec": spec.to_dict()}
        self.keeper.hold(f"asleep:{application.id}", noted)
        self.watch_sleeper(application, key)
        if instance:
            application.current, application.note = None, ""
            seconds = instance.spec.limits.sleep_after
            text = f"falls asleep: no request for {seconds} s"
            self.events.of_application(application.label, instance.key.revision, text)
            self.leave(application, instance, signal.SIGTERM)

    def watch_sleeper(self, application: Application, key: Key) -> None:
        """Note that it sleeps, and have the first connection wake it."""
        application.asleep, application.called = key, False
        self.loop.watch(application.listener, lambda _listener: self._called(application))

    def _called(self, application: Application) -> None:
        """Wake it at once: whoever has connected waits."""
        self.loop.unwatch(application.listener)
        application.called = True
        with self.faults.of(application.label, "taking the next step"):
            self._take_steps(application, time.monotonic())

    def forget_sleep(self, application: Application) -> None:
        """Note that it is not asleep any more."""
        if application.asleep:
            self.loop.unwatch(application.listener)
            self.keeper.drop(f"asleep:{application.id}")
            application.asleep = None

    # Starting

    def _start(self, application: Application) -> None:
        spec, key = application.wish, application.wish_key
        if spec is None or key is None or not key.python:
            return
        newcomers = (self.applications[app_id].newcomer for app_id in self.starters if app_id in self.applications)
        application.waiting = self.confines.waiting(spec) or self.turns.waiting(filter(None, newcomers))
        if application.waiting:
            return
        self.faults.forgive(application.label)
        now, application.watched = time.monotonic(), last_change(spec.directory)
        application.edits = edits.Edits.of(spec, edits.stamp(spec) if spec.debug else 0)
        instance = Instance(spec, key, began=now, deadline=now + spec.limits.start_timeout)
        instance.target = application.begins_with(spec)
        instance.why = application.why if application.current else ""
        application.newcomer = instance
        self.starters.add(application.id)
        problem = problem_of(spec) or self.confines.problem(spec)
        if problem:
            self._newcomer_failed(application, Failure(key, problem), patient=True)
            return
        if not application.present_failure():
            self.events.of_application(application.label, key.revision, "wakes" if application.called else "starting")
        for _number in range(instance.target):
            if application.newcomer is instance:  # One that could not be forked has ended it.
                self.crew.fork(application, instance)

    def _fork_missing(self, application: Application) -> None:
        if application.current and self.confines.lets(application.current.spec):
            self.crew.fork(application, application.current)

    def _retire(self, application: Application) -> None:
        """Let the youngest worker leave, as an instance of its own that drains."""
        current = application.current
        if current is None:
            return
        worker = list(current.workers.values())[-1]
        leaver = Instance(current.spec, current.key, began=current.began, deadline=0.0)
        self.crew.move(worker, application, leaver)
        text = f"process {worker.pid} is not needed any more and leaves"
        self.events.of_application(application.label, current.key.revision, text)
        self.leave(application, leaver, signal.SIGTERM)

    # What becomes of a worker (crew.Judge)

    def worker_ready(self, application: Application, instance: Instance) -> None:
        """Let a newcomer whose workers are all ready take over."""
        if instance is application.newcomer and instance.ready:
            self._promote(application)

    def worker_failed(
        self,
        application: Application,
        instance: Instance,
        reason: str,
        detail: str = "",
        remedy: str = "",
        where: str | None = None,
    ) -> None:
        """Give a newcomer up; a worker more of one that serves is planned again."""
        if instance is application.newcomer:
            self._newcomer_failed(application, application.failed(instance.key, reason, detail, remedy, where))

    def worker_ended(self, application: Application, instance: Instance, worker: Worker, status: int | None) -> None:
        """Tell a failed start, a crash and an expected end apart."""
        crashed = instance is application.current or application.was_serving(instance, worker)
        if instance is application.newcomer and not crashed:
            self.worker_failed(application, instance, f"{processes.end_in_words(status)} before it was ready")
        elif crashed:
            self._crashed(application, instance, worker, status)
        elif not instance.workers and instance in application.leaving:
            application.leaving.remove(instance)
            if instance.ready_since:
                self.events.of_application(application.label, instance.key.revision, "has left")

    def _crashed(self, application: Application, instance: Instance, worker: Worker, status: int | None) -> None:
        """Restart at once, then with growing pauses."""
        pause = application.pause_after_crash(worker)
        again = "restarted at once" if not pause else f"it is started again after a pause of {pause:.0f} s"
        end = f"did not start: {worker.reason}" if worker.reason else processes.end_in_words(status)
        reason = f"a worker {end}; {again}"
        self.events.of_application(application.label, instance.key.revision, reason)
        if instance.workers:
            instance.fork_at = time.monotonic() + pause
            return
        application.current = None
        if instance is application.newcomer:
            self._newcomer_gone(application)
        application.crash = Failure(instance.key, reason)
        application.retry_at = time.monotonic() + pause
        if pause and not application.newcomer:
            times = f"it crashed {application.crashes} times: "
            application.failure = Failure(application.wish_key or instance.key, times + reason)

    def _zygote_failed(self, place: Place) -> None:
        python, user = place
        why = interpreter.problem(python, user) or "CPython 3.10 or later is needed, and messages.log has its words"
        words = f"the interpreter {python} cannot run Stoa's zygote{f' as {user}' if user else ''}: {why}"
        for application in self.applications.values():
            if application.newcomer and application.newcomer.key.place == place:
                for key in list(application.newcomer.workers):
                    self.crew.forget(key)
                self._newcomer_failed(application, Failure(application.newcomer.key, words))

    def _release_zygotes(self) -> None:
        used = {instance.key.place for app in self.applications.values() for instance in app.instances()}
        used |= {app.wish_key.place for app in self.applications.values() if app.wish_key}
        self.crew.release_zygotes(used)

    def _newcomer_failed(self, application: Application, failure: Failure, *, patient: bool = False) -> None:
        """Note why, stop what is left of it, and plan the next try; the old generation goes on serving."""
        instance = application.newcomer
        if instance is None:
            return
        said = application.said(instance.key)
        self._newcomer_gone(application)
        application.failure = failure
        pause = 1.0 if patient else self._next_pause(application)
        application.retry_at = time.monotonic() + pause
        if said != failure.mark:
            self.events.of_application(application.label, instance.key.revision, f"did not start: {failure.reason}")
        elif not patient:
            text = f"did not start, as before; it is tried again after a pause of {pause:.0f} s"
            self.events.in_its_log(application.label, instance.key.revision, text)
        self.leave(application, instance, signal.SIGKILL)

    def _newcomer_gone(self, application: Application) -> None:
        application.newcomer = None
        self.starters.discard(application.id)

    def _next_pause(self, application: Application) -> float:
        application.crashes += 1
        return PAUSES[min(application.crashes, len(PAUSES) - 1)]

    # Replacing

    def _promote(self, application: Application) -> None:
        newcomer, old = application.newcomer, application.current
        if newcomer is None:
            return
        self._newcomer_gone(application)
        self.forget_sleep(application)
        self.faults.forgive(application.label)
        application.current, application.called = newcomer, False
        application.failure = application.crash = None
        newcomer.pulse = Pulse(time.monotonic())
        application.note = f"Begun anew at {now_in_words()}: {newcomer.why}." if newcomer.why else ""
        seconds = time.monotonic() - newcomer.began
        verb = "replaces generation " + str(old.key.revision) if old else "is running"
        self.events.of_application(application.label, newcomer.key.revision, f"{verb} (ready after {seconds:.2f} s)")
        if old:
            self.leave(application, old, signal.SIGTERM)

    def _discard(self, application: Application) -> None:
        instance = application.newcomer
        self._newcomer_gone(application)
        if instance:
            self.leave(application, instance, signal.SIGKILL)

    def _drain_current(self, application: Application) -> None:
        instance, application.current = application.current, None
        if instance:
            self.events.of_application(application.label, instance.key.revision, "stopping")
            self.leave(application, instance, signal.SIGTERM)

    def leave(self, application: Application, instance: Instance, number: int) -> None:
        """Signal an instance's workers, and give them time to drain; those that hang are killed."""
        instance.deadline = time.monotonic() + DRAIN
        if instance.workers:
            application.leaving.append(instance)
        hung = instance.hung
        for worker in list(instance.workers.values()):
            # Before it is ready a worker may not hear SIGTERM yet (replacement.md, section 6, trap 7).
            hard = number == signal.SIGKILL or not worker.ready or worker.key in hung
            self.crew.signal(worker, signal.SIGKILL if hard else signal.SIGTERM)
            self.crew.note(application, instance, worker)
