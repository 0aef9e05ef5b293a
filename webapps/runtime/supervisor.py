"""The supervisor: each tick compares what is wished with what is, and takes the smallest step.

It can be restarted at any moment: what runs is noted in the keeper, what is wished stands in the rows.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import control, packets, passes, wire
from .adoption import Adoption
from .application import Application, Failure, now_text
from .areas import Place
from .crowd import Crowd
from .events import Events
from .faults import GROUPS, MACHINE, OWN, ROWS, SOCKET
from .fileplaces import FilePlaces
from .fleet import Fleet
from .frontkeeper import FrontKeeper
from .installations import Installations
from .keeperlink import KeeperGone, KeeperLink
from .listening import Listening
from .loop import Loop
from .owners import own
from .plan import Key
from .rows import NotOurs, check_not_gone
from .spec import AppSpec, Files, Protocol, Route, State

TICK = 1.0
# While somebody may be editing an application with DEBUG that is awake.
DEBUG_TICK = 0.4
TIDY = 60.0


@dataclass(frozen=True)
class Wishes:
    """How the supervisor learns what is wished: a counter that rises with every change, and the rows as specs.

    A row that cannot be one is a fault that the context catches which is given to ``specs``. ``namespace_defaults``
    maps a namespace to the name of its default application.
    """

    counter: Callable[[], int]
    specs: Callable[[Callable[[str], AbstractContextManager[object]]], Sequence[AppSpec]]
    namespace_defaults: Callable[[], dict[str, str]]


class Supervisor:
    """Own the applications; one thread decides, another waits for nginx."""

    def __init__(
        self,
        home: Path,
        wishes: Wishes,
        front: FrontKeeper,
        keeper: KeeperLink,
        events: Events,
        loop: Loop,
        user: str = "",
    ) -> None:
        self.home = home
        self.run_dir = home / "run"
        self.wishes = wishes
        self.front = front
        self.keeper = keeper
        self.events = events
        self.loop = loop
        self.fleet = Fleet(self.run_dir, keeper, events, loop, user)
        self.faults = self.fleet.faults
        self.crowd = Crowd(events)
        self.since = now_text()
        self.counter: int | None = None
        self.specs: dict[int, AppSpec] = {}
        self.defaults: dict[str, str] = {}
        self.known_routes: dict[int, tuple[AppSpec, Route]] = {}
        self.places = FilePlaces(str(self.fleet.confines.home), self.fleet.confines.areas)
        self.installations = Installations(home, self.fleet, keeper, events, lambda: list(self.specs.values()))
        self.trouble = ""
        self.stopping = False
        self.tidy_at = time.monotonic() + TIDY

    def run(self) -> None:
        """Work until told to stop."""
        self.fleet.confines.begin()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        Adoption(self.fleet, self.keeper.everything()).take_over()
        server = Listening(self.run_dir / control.SOCKET)
        self.loop.watch(server.sock, self._accept)
        self.loop.watch(self.keeper.sock, self._keeper_gone)
        self.events.say(f"supervisor {os.getpid()} runs")
        while not self.stopping:
            self.tick()
            self._mend(server)
            self.loop.wait(self.front.seconds_until_due(DEBUG_TICK if self.fleet.edited_now else TICK))

    def _stop(self, _number: int, _frame: Any) -> None:
        self.stopping = True
        self.loop.wake()

    def _mend(self, server: Listening) -> None:
        """Be there again for who asks, where the socket's file was removed."""
        if before := server.mended():
            self.loop.unwatch(before)
            before.close()
            self.loop.watch(server.sock, self._accept)
            self.events.say(f"{server.path} had gone and is there again", "warning")

    def _keeper_gone(self, sock: socket.socket) -> None:
        """Leave when the keeper does: the next start takes over."""
        if not sock.recv(1, socket.MSG_PEEK):
            self.stopping = True
            self.fleet.groups.loosen()

    def tick(self) -> None:
        """Read the wishes if they changed, take the steps, tell the front."""
        self._read_wishes()
        if self.counter is None:
            self._go_on_as_it_was()
            return
        self._wish()
        with self.faults.of(GROUPS, "setting limits"):
            self.fleet.groups.look({spec.namespace: spec.bounds for spec in self.specs.values()})
        with self.faults.of(MACHINE, "counting processes"):
            self.crowd.look(self.fleet.applications.values())
        self.fleet.confines.machine.look()
        self.fleet.tick(self.front.routed)
        self._forget_the_gone()
        self._tidy()
        for application in self.fleet.applications.values():
            namespace = application.wish.namespace if application.wish else ""
            application.fault = self.faults.words(application.label, namespace)
            application.note_state()
        self.front.want(self.routes(), self.defaults)

    # Wishes

    def _go_on_as_it_was(self) -> None:
        """Until the rows can be read for the first time, keep up what runs, and leave all else alone."""
        for application in self.fleet.applications.values():
            current = application.current
            if current and application.wish is None:
                application.wish, application.wish_key = current.spec, current.key
            elif application.wish is None:  # Asleep, or between two tries: then its socket stays, and who comes waits.
                application.wish, application.wish_key = application.slept, application.asleep or Key(0, "")
                application.waiting = self.trouble
        self.fleet.tick(self.front.routed)

    def _read_wishes(self) -> None:
        """Read the rows where the counter has moved; where the database does not answer, what was wished stays."""
        try:
            counter = self.wishes.counter()
            if counter == self.counter:
                self._well()
                return
            self.faults.forgive(ROWS)
            specs = {spec.id: spec for spec in self.wishes.specs(partial(self.faults.of, ROWS))}
            counted = self.counter is None or counter > self.counter
            check_not_gone(len(self.specs), len(specs), counted=counted)
            self.specs, self.defaults = specs, self.wishes.namespace_defaults()
            self.counter = counter
        except Exception as error:
            words = str(error) if isinstance(error, NotOurs) else f"the database does not answer: {error}"
            if words != self.trouble:
                self.events.say(words, "error")
            self.trouble = words
            return
        self._well()

    def _well(self) -> None:
        if self.trouble:
            self.trouble = ""
            self.events.say("the database is back")

    def _wish(self) -> None:
        self.installations.look_anew()
        for app_id, spec in self.specs.items():
            application = self.fleet.applications.get(app_id)
            if application is None:
                application = self.fleet.applications[app_id] = Application(app_id, spec.label)
            if application.label != spec.label:
                self.installations.rename(spec.namespace, application.label, spec.label)
            application.label = spec.label
            with self.faults.of(spec.label, "reading what is wished of it"):
                self._wish_for(application, spec)
        for app_id, application in self.fleet.applications.items():
            if app_id not in self.specs:
                application.wish = application.wish_key = None

    def _wish_for(self, application: Application, spec: AppSpec) -> None:
        # The rows are read anew after every save; one elsewhere changes nothing here.
        if application.wish is not spec and application.wish != spec:
            application.wish, application.why = spec, ""
            application.crashes, application.retry_at = 0, 0.0
            self._own(spec)
        if spec.protocol is Protocol.FILES:
            application.wish_key = None
        else:
            python = spec.interpreter or self._python(application, spec)
            application.wish_key = Key(spec.revision, python, application.edition, self.fleet.owners.named(spec))

    def _own(self, spec: AppSpec) -> None:
        """Have a namespace's directory, in which its database lies, and see that it is its account's."""
        try:
            own(self.home / "namespaces" / spec.namespace, self.fleet.owners.of(spec))
        except (KeyError, OSError, RecursionError) as error:
            self.events.say(f"the directory of {spec.namespace} cannot be given to {spec.os_user}: {error}", "error")

    def _python(self, application: Application, spec: AppSpec) -> str:
        """Return the interpreter of the namespace's environment, "" while that is being made."""
        python = self.installations.python(spec)
        being_made = f"the virtual environment of {spec.namespace} is being made"
        application.waiting = "" if python else self.fleet.confines.waiting(spec) or being_made
        if not python and (reason := self.installations.why_none(spec)):
            application.failure = Failure(Key(spec.revision, ""), reason)
        return python

    def _tidy(self) -> None:
        """Now and then remove the environments that no instance uses any more."""
        if time.monotonic() < self.tidy_at:
            return
        self.tidy_at = time.monotonic() + TIDY
        instances = (instance for app in self.fleet.applications.values() for instance in app.instances())
        used = {Path(instance.key.python).parent.parent for instance in instances}
        namespaces = {spec.namespace for spec in self.specs.values()}
        for name in namespaces:
            with self.faults.of(name, "removing the environments that nothing uses"):
                self.installations.tidy(name, used)
        self.faults.forget_all_but({*OWN, *namespaces, *(app.label for app in self.fleet.applications.values())})

    def _forget_the_gone(self) -> None:
        gone = [
            app_id
            for app_id, application in self.fleet.applications.items()
            if app_id not in self.specs
            and not application.instances()
            and application.listener is None
            and app_id not in self.front.routed
        ]
        for app_id in gone:
            del self.fleet.applications[app_id]
            self.places.forget(app_id)
            self.fleet.looks.forget(app_id)
            self.known_routes.pop(app_id, None)

    # Routes

    def routes(self) -> list[Route]:
        """Return the routes as they should be at the front now."""
        self.places.look_anew()
        found = []
        for application in self.fleet.applications.values():
            with self.faults.of(application.label, "routing to it"):
                if route := self._route_of(application):
                    found.append(route)
        return found

    def _route_of(self, application: Application) -> Route | None:
        """Return an application's route; none before its socket is there."""
        spec = application.wish
        if spec is None or (spec.protocol is not Protocol.FILES and application.listener is None):
            return None
        failed = application.state is State.FAILED and spec.protocol is not Protocol.FILES
        place = self.places.of(spec)
        self._note_files(application, place.refused)
        known = self.known_routes.get(spec.id)
        if known is None or known[0] is not spec or known[1].failed is not failed or not _is_at(known[1], place):
            known = self.known_routes[spec.id] = (spec, self._route(spec, place, failed=failed))
        return known[1]  # The same object each tick: a thousand are compared in no time.

    def _note_files(self, application: Application, refused: str) -> None:
        """Say once why an application's files are not served."""
        if refused and refused != application.unserved and application.wish:
            self.events.of_application(application.label, application.wish.revision, f"its files: {refused}")
        application.unserved = refused

    def _route(self, spec: AppSpec, place: Place, *, failed: bool) -> Route:
        files_only = spec.protocol is Protocol.FILES
        return Route(
            id=spec.id,
            name=spec.name,
            host=spec.host,
            protocol=spec.protocol,
            socket="" if files_only else f"apps/{spec.id}.sock",
            failed=failed,
            open=spec.open,
            request_timeout=spec.limits.request_timeout,
            max_body=spec.limits.max_body,
            files=spec.files if place.root else Files(),
            cors=spec.cors,
            root=place.root,
            inside=place.inside,
            links=place.links,
        )

    # The control socket

    def _accept(self, server: socket.socket) -> None:
        try:
            caller, _address = server.accept()
        except OSError:
            return  # Whoever it was has gone already.
        try:
            wire.check_peer(caller)
        except (wire.PeerRefused, OSError) as error:
            self.events.say(str(error), "warning")
            caller.close()
            return
        caller.settimeout(2)
        self.loop.watch(caller, self._answer)

    def _answer(self, caller: socket.socket) -> None:
        try:
            received = wire.receive(caller)
            if received is None:
                raise ConnectionError
            request, fds = received
            wire.close_all(fds)
            answer = self._answered(request)
            for packet in packets.cut(answer, "passes" if "passes" in answer else "webapps"):
                wire.send(caller, packet)
        except (OSError, ValueError, RecursionError):
            self.loop.unwatch(caller)
            caller.close()

    def _answered(self, request: wire.Message) -> dict[str, Any]:
        """Answer whatever is asked; what goes wrong is the answer then."""
        try:
            return self._answer_to(request)
        except KeeperGone:
            raise
        except Exception as error:
            self.faults.note(SOCKET, "answering", error)
            return {"error": f"it cannot be answered: {error}"}

    def _answer_to(self, request: wire.Message) -> dict[str, Any]:
        if request.get("do") == "status":
            return self.status()
        if request.get("do") == "nudge":
            return {"ok": True}  # Being woken is all that was asked for: the next tick comes at once.
        if request.get("do") == "passes":
            return {"passes": passes.held(self.fleet.applications.values())}
        if request.get("do") == "revoke":
            passes.revoke(self.fleet.applications.values(), request["passes"])
            return {"ok": True}
        if request.get("do") == "install":
            words = self.installations.ask(request)
            return {"error": words} if words else {"ok": True}
        return {"error": f"unknown request {request.get('do')!r}"}

    def status(self) -> dict[str, Any]:
        """Return what is, for every application."""
        webapps = {str(app.id): app.status() for app in self.fleet.applications.values()}
        for app_id, words in self.front.refused.items():
            if str(app_id) in webapps:
                webapps[str(app_id)] |= {
                    "state": State.FAILED.value,
                    "reason": packets.short(f"nginx refuses its route: {words}"),
                }
        return {
            "supervisor": {"state": "running", "pid": os.getpid(), "since": self.since},
            "webapps": webapps,
            "front": {
                "error": self.front.error,
                "refused": {str(key): words for key, words in self.front.refused.items()},
                "settled": self.front.settled,
            },
            "warnings": self.warnings(),
            "walls": self.fleet.confines.report(self.fleet.groups.delegated),
        }

    def warnings(self) -> list[str]:
        """List what the System page and the status have to warn of."""
        trouble = filter(None, (self.trouble, self.faults.words(*OWN)))
        return [*trouble, *self.fleet.confines.machine.warnings(), *self.front.warnings]


def _is_at(route: Route, place: Place) -> bool:
    return (route.root, route.inside, route.links) == (place.root, place.inside, place.links)
