"""Keep the front as wished: apply routes in a thread of its own, start nginx, say when Stoa is ready."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from . import processes
from .events import Events
from .front import Applied, Front, FrontSettings
from .keeperlink import KeeperLink
from .loop import Loop
from .nginx import find_nginx
from .serving import Serving
from .spec import Route
from .tls import Pair, TlsFiles

NAME = "front"
# Changes that come within this time (seconds) are applied together.
TOGETHER = 0.02
PATIENCE = 20.0
# How often (seconds) the size of access.log, and the certificate, are looked at.
LOOK = 5.0
WORKER = b"nginx: worker process"
LISTENERS = ("tcp:apps", "tcp:portal")


class FrontKeeper:
    """The supervisor's view of nginx. ``routed`` is what the front passes on at this moment."""

    def __init__(self, serving: Serving, keeper: KeeperLink, events: Events, loop: Loop) -> None:
        self.serving = serving
        self.keeper = keeper
        self.own_keeper = KeeperLink(serving.run_dir)  # Used by the thread alone.
        self.events = events
        self.loop = loop
        self.routed: set[int] = set()
        self.refused: dict[int, str] = {}
        self.error = ""
        self.announced = False
        self._wanted: tuple[tuple[Route, ...], tuple[tuple[str, str], ...]] | None = None
        self._applied: object = None
        self._due = self._look_due = 0.0
        self._busy = False
        self._front: Front | None = None
        self._tls: TlsFiles | None = None
        self._workers: frozenset[int] = frozenset()
        self._started = time.monotonic()

    def want(self, routes: Sequence[Route], defaults: dict[str, str]) -> None:
        """Have these routes at the front soon; does nothing if they are there."""
        wanted = (tuple(sorted(routes, key=lambda route: route.id)), tuple(sorted(defaults.items())))
        # Until they are told otherwise, requests may still go to what the front was told last.
        if wanted != self._wanted:
            self._wanted = wanted
            self._due = time.monotonic() + TOGETHER
        if self._busy or time.monotonic() < self._due:
            return
        if wanted == self._applied:
            self._look_now_and_then()
        if wanted == self._applied:
            return
        self._busy = True
        self.routed |= {route.id for route in routes}
        threading.Thread(target=self._apply, args=wanted, name="front", daemon=True).start()

    def _look_now_and_then(self) -> None:
        """Rotate the access log, take over a certificate; no thread is at work now, so the signal's way is free."""
        if self._front and time.monotonic() > self._look_due:
            self._look_due = time.monotonic() + LOOK
            self._front.rotate()
            if self._tls and self._look_at_tls(self._tls, self._front):
                self._applied = None
            if self._look_at_workers():
                self._front.count_anew()
                self._applied = None

    def _look_at_workers(self) -> bool:
        """Say whether a worker of nginx was killed since the last look; one that a reload has replaced has left."""
        master = self.keeper.children().get(NAME, 0)
        before, self._workers = self._workers, processes.titled(master, WORKER)
        if not before and _is_alone(master):
            self._replace(self.keeper)
        return bool(before - self._workers)

    def _replace(self, keeper: KeeperLink) -> None:
        """End a master that has no workers any more: where it could not have one it never tries again."""
        self.loop.call(lambda: self.events.say("nginx runs without workers, and is started anew", "error"))
        keeper.signal(NAME, signal.SIGKILL)

    def _look_at_tls(self, tls: TlsFiles, front: Front) -> bool:
        """Say what is wrong with a certificate; say whether another one is to be served with."""
        before = tls.problem
        changed = tls.look()
        if tls.problem and tls.problem != before:
            self.events.say(f"{tls.problem}; the one before it is served with", "error")
        if changed:
            front.renew(tls.stamp)
            self.events.say("the certificate is taken over")
        return changed

    @property
    def warnings(self) -> list[str]:
        """What the System page has to warn of."""
        return [words for words in (self._tls and self._tls.problem, self.serving.warning) if words]

    @property
    def settled(self) -> bool:
        """Whether the front does, confirmed, what it was last told."""
        return not self._busy and self._wanted == self._applied

    def seconds_until_due(self, tick: float) -> float:
        """Return how long the supervisor may wait."""
        if self._busy or self.settled:
            return tick
        return max(0.0, self._due - time.monotonic())

    def _apply(self, routes: tuple[Route, ...], defaults: tuple[tuple[str, str], ...]) -> None:
        """Apply in the thread; only the end is told to the loop."""
        try:
            applied = self._carry_out(routes, dict(defaults))
        except Exception as error:  # Whatever it was: the supervisor goes on, says it, and tries again.
            applied = Applied(generation=0, refused={}, error=f"{type(error).__name__}: {error}")
        self.loop.call(lambda: self._done(routes, defaults, applied))

    def _carry_out(self, routes: tuple[Route, ...], defaults: dict[str, str]) -> Applied:
        if self._front is None:
            self._front = front = Front(self._settings(), self._signal)
            self._tls = TlsFiles(Pair(self.serving.tls_cert, self.serving.tls_key), front.folder / "tls", front.give)
            self._look_at_tls(self._tls, front)
        running = self.own_keeper.children().get(NAME)
        applied = self._front.apply(routes, defaults, running=bool(running))
        if applied.error:
            if running and _is_alone(running):
                self._replace(self.own_keeper)
            return applied
        if self._tls:
            self._tls.forget_others()
        if not running:
            self._start()
            applied = self._front.confirm(applied, PATIENCE)
        return applied

    def _settings(self) -> FrontSettings:
        serving = self.serving
        binary = find_nginx(serving.nginx)
        self.loop.call(lambda: self.events.say(f"the front is {binary.described}"))
        return FrontSettings(
            run_dir=serving.run_dir,
            static_dir=Path(serving.static_dir),
            access_log=serving.log_dir / "access.log",
            apps_listen=serving.apps_address,
            portal_listen=serving.portal_address,
            apps_url=serving.apps_url,
            portal_url=serving.portal_url,
            trusted_proxies=serving.trusted_proxies,
            names=serving.names,
            binary=binary,
            workers=max(1, min(8, os.cpu_count() or 1)),
            as_root=os.geteuid() == 0 and not serving.user,
            user=serving.user,
            disk=shutil.disk_usage(serving.run_dir).total,
            twins=serving.twins,
        )

    def _start(self) -> None:
        assert self._front is not None
        listeners = (*LISTENERS, *(f"tcp:{name}" for name in self.serving.twins))
        inherited = "".join(f"{{fd:{name}}};" for name in listeners)
        self.own_keeper.start(NAME, self._front.argv(), {"NGINX": inherited}, listeners, again=True)

    def _signal(self, number: int) -> None:
        self.own_keeper.signal(NAME, signal.Signals(number))

    def _done(self, routes: tuple[Route, ...], defaults: object, applied: Applied) -> None:
        self._busy = False
        self._workers = frozenset()
        if applied.error:
            self._failed(applied.error)
            return
        if self.error:
            self.events.say("the front works again")
        self.error = ""
        self._applied = (routes, defaults)
        self._note_refused(applied.refused)
        self.routed = {route.id for route in routes}
        if not self.announced:
            self.announced = True
            threading.Thread(target=self._announce, name="announce", daemon=True).start()

    def _failed(self, error: str) -> None:
        """Say it, and try again in a second; a start that cannot succeed is given up."""
        if error != self.error:
            self.events.say(f"the front: {error}", "error")
        self.error = error
        self._due = time.monotonic() + 1.0
        if not self.announced:
            self.keeper.fail(f"Stoa cannot start: {error}")

    def _note_refused(self, refused: dict[int, str]) -> None:
        for app_id, words in refused.items():
            if self.refused.get(app_id) != words:
                self.events.say(f"nginx refuses the route of application {app_id}: {words}", "error")
        self.refused = dict(refused)

    def _announce(self) -> None:
        """Wait until both addresses answer, then tell the person at the terminal."""
        addresses = (self.serving.apps_address, self.serving.portal_address)
        deadline = time.monotonic() + PATIENCE
        while not all(_answers(address, self.serving.scheme) for address in addresses):
            if time.monotonic() > deadline:
                self.loop.call(
                    lambda: self.keeper.fail("Stoa cannot start: the portal does not answer; see messages.log")
                )
                return
            time.sleep(0.05)
        self.loop.call(self._say_ready)

    def _say_ready(self) -> None:
        apps, portal = self.serving.origins
        self.keeper.ready(f"Stoa is ready\n  portal        {portal}/portal/\n  applications  {apps}/")
        self.events.say("ready")


def _is_alone(master: int) -> bool:
    """Say whether a master of nginx has no worker that takes requests, where the kernel tells of children (proc(5))."""
    return os.path.exists(f"/proc/{master}/task/{master}/children") and not processes.titled(master, WORKER)


def _answers(address: tuple[str, int], scheme: str) -> bool:
    host, port = address
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(reachable, port, timeout=5)
    if scheme == "https":
        # It is ourselves that we ask, by an address that the certificate need not name.
        connection = http.client.HTTPSConnection(reachable, port, timeout=5, context=ssl._create_unverified_context())  # noqa: S323
    try:
        connection.request("GET", "/portal/login")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()
