"""A gunicorn worker class for WSGI: a few threads on one shared epoll, kept-alive connections to the front.

One read and one write for a small exchange. It never closes a connection that was not told so, so that no request
is lost when it leaves (replacement.md, section 2). Runs inside the application's process under any CPython from 3.10.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

from gunicorn.workers.base import Worker

from . import native
from .pace import Pace
from .readiness import say
from .wsgi_connection import ClientGone, Connection
from .wsgi_file import FileWrapper
from .wsgi_request import Environ, Heads, Refused
from .wsgi_response import Exchange, refuse
from .wsgi_threads import Seat, Threads

HEARTBEAT = 1.0
DRAIN_STEP = 0.02
HUNG = 75
# So much longer (seconds) than a request may take it waits for the supervisor, who starts the next one first.
LEFT_TO_SUPERVISOR = 5.0


class EpollWorker(Worker):  # type: ignore[misc]
    """Serve WSGI to the front. ``cfg.root_path`` is the application's name, ``timeout`` how long a request may take."""

    ours = False
    #: What counts requests for the supervisor (``gauge``), where somebody watches.
    gauge: Any = None
    draining = False
    next_beat = 0.0
    trouble = ""

    def run(self) -> None:
        """Serve until told to leave, then drain. Ends the process when it can no longer answer."""
        self.heads = Heads(base_environ(self.cfg), self.cfg.root_path)
        self.threads = Threads(self.sockets[0].sock, self.cfg.threads, self._answer, self._fail)
        if self.gauge:
            for number, seat in enumerate(self.threads.seats):
                seat.steps = self.gauge.steps_of(number)
        self.watch = Watch(self.threads.seats, self.timeout + (LEFT_TO_SUPERVISOR if self.gauge else 0.0))
        self.pace = Pace(self.threads)
        self.threads.open()
        while self.alive:
            self._beat()
            self._end_in_trouble()
            self._wait(self.pace.step())
        self._drain()

    def _beat(self) -> None:
        """Say that this process lives, and look after its threads, once a second or so."""
        now = time.monotonic()
        if now >= self.next_beat:
            self.next_beat = now + HEARTBEAT
            self.notify()
            self._look_after_threads()

    def init_signals(self) -> None:
        """Take signals as gunicorn does; SIGPIPE is ignored again, which the application may have changed."""
        super().init_signals()
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Leave as for SIGTERM: a terminal's Ctrl-C reaches the whole group."""
        self.handle_exit(sig, frame)

    def _answer(self, connection: Connection, seat: Seat) -> bool:
        try:
            request = self.heads.read(connection)
        except Refused as refused:
            refuse(connection, refused, self.log)
            return False
        except ClientGone:
            return False
        seat.steps[0] += 1
        try:
            return Exchange(connection, request, self).run()
        finally:
            seat.steps[0] += 1

    def _wait(self, seconds: float) -> None:
        """Wait for a signal or the time."""
        poll = native.poll()  # select() takes no descriptor above 1,024.
        poll.register(self.PIPE[0], select.POLLIN)
        if poll.poll(seconds * 1000):
            native.read(self.PIPE[0], 64)

    def _drain(self) -> None:
        """Accept nothing more, answer what comes with ``Connection: close``, and leave when the front has gone."""
        self.draining = True
        self.threads.close_the_door()
        self.threads.serve_together()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while True:
            while self.threads.connections and time.monotonic() < deadline:
                self._wait(DRAIN_STEP)
                self._beat()
                self._end_in_trouble()
            if self.threads.go_home(deadline):
                return

    def _fail(self, trouble: str) -> None:
        """Note, in a thread, that this process cannot go on, and wake the main thread."""
        self.trouble = trouble
        native.write(self.PIPE[1], b"!")

    def _look_after_threads(self) -> None:
        """Show what goes on; end the process, so that it is replaced, when its threads are all hung."""
        if self.gauge and self.watch.came_on():
            self.gauge.moved()
        if self.watch.all_hung():
            self._fail(f"all {len(self.threads.seats)} threads were busy for more than {self.timeout} s")
            say("\n".join(self.watch.where()))

    def _end_in_trouble(self) -> None:
        if self.trouble:
            self.log.critical("%s: this process ends, and another one takes its place", self.trouble)
            os._exit(HUNG)


class OwnWorker(EpollWorker):
    """Serve a part of Stoa itself, run by gunicorn as everybody does."""

    ours = True


class Watch:
    """Tell a thread that hangs from one that waits for the front or comes on."""

    def __init__(self, seats: list[Seat], timeout: float) -> None:
        self.seats = seats
        self.timeout = timeout
        self.seen: list[tuple[int, int]] = [(0, 0)] * len(seats)
        self.since = [time.monotonic()] * len(seats)
        self.progress: list[tuple[int, int]] = []

    def all_hung(self) -> bool:
        """Say whether no thread has come on for longer than a request may take; ask about once a second."""
        now = time.monotonic()
        for number, seat in enumerate(self.seats):
            connection = seat.connection
            state = (id(connection), connection.progress) if connection and not connection.waiting else (0, 0)
            if state != self.seen[number] or state == (0, 0):
                self.seen[number], self.since[number] = state, now
        return bool(self.timeout) and all(now - since > self.timeout for since in self.since)

    def came_on(self) -> bool:
        """Say whether a thread has come on with what it has in hand since this was asked last."""
        before, self.progress = (
            self.progress,
            [(id(seat.connection), seat.connection.progress) for seat in self.seats if seat.connection],
        )
        return self.progress != before

    def where(self) -> Iterator[str]:
        """Say in which lines the threads are."""
        frames = sys._current_frames()
        for seat in self.seats:
            frame = frames.get(seat.thread.ident) if seat.thread else None
            if frame and seat.thread:
                yield f"Thread {seat.thread.name} (most recent call last):"
                yield "".join(traceback.format_stack(frame)).rstrip()


def base_environ(cfg: Any) -> Environ:
    """Return what the environs of all requests have in common (PEP 3333)."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": cfg.threads > 1,
        "wsgi.multiprocess": cfg.workers > 1,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
        "SERVER_SOFTWARE": "Stoa",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "",
    }
