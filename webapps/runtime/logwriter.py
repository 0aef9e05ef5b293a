"""Read what every application prints and write WSGI.log and messages.log: one process, no threads.

``python -m webapps.runtime.logwriter LOG_DIR CONTROL_FD EVENTS_FD PREDECESSOR``

1. On CONTROL_FD (SOCK_SEQPACKET, to the keeper) come pipes:
   ``{"attach": key, "file": "WSGI", "label", "generation", "stream"}`` or
   ``{"attach": key, "file": "messages", "source"}``, each with one descriptor. When a pipe has ended
   the answer is ``{"done": key}``. Besides them comes all else that the keeper holds, ``{"hold": key, "meta"}`` and
   ``{"drop": key}``, and, after everything, ``{"answer": path}``: the next start asks there (``legacy``).
2. On EVENTS_FD (a pipe) come lines of JSON, each one write of at most 4096 bytes (``events``):
   ``{"file": "WSGI", "label", "generation", "stream": "stoa", "text"}`` or
   ``{"file": "messages", "source", "level", "text"}``. A text of several lines becomes several lines.
3. PREDECESSOR is the process id of another log writer, 0 for none: nothing is read or written before it has ended.
4. SIGTERM: what is in the pipes is written, and the process leaves. When the keeper has gone it
   leaves after the last pipe has ended, because applications may live longer than the keeper.

An unfinished line (a prompt) is written after a second of silence, ending in ``…``; what follows then
begins with ``…``. Whoever prints faster than the allowance is read more slowly: his print waits,
nothing is lost, and nobody else notices.
"""

from __future__ import annotations

import heapq
import math
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import logs, seclusion
from .flood import Floods
from .logcontrol import Control
from .logpages import Pages
from .logpipes import SLOWED, SLOWED_EVERY, SUSTAINED, TOTAL, Allowance, Pipe, available

READ = 1 << 15
# Lines that come one by one are gathered for this long: a wake-up costs more than a line.
NAP = 0.01
SILENCE = 1.0
RETRY = 1.0
DRAIN = 2.0
GRACE = 2.0


class LogWriter:
    """Read pipes as they come, a bounded piece from each in turn, until there is nothing more to read."""

    def __init__(self, log_dir: Path, control: socket.socket, events: int, predecessor: int = 0) -> None:
        self.stopping = False
        self._pages = Pages(log_dir)
        self._events = events
        self._events_rest = b""
        self._pipes: dict[int, Pipe] = {}
        self._keys: dict[str, Pipe] = {}
        self._allowances: dict[str, Allowance] = {}
        self._floods = Floods()
        self._limited: list[tuple[float, int, Allowance]] = []
        self._unfinished: dict[Pipe, float] = {}
        self._leave_at = 0.0
        self._retry_at = 0.0
        self._now = time.monotonic()
        self._epoll = select.epoll()
        os.set_blocking(events, False)
        self._control = Control(control, self._epoll, self._pages, self._attach, self._pipes.values)
        self._predecessor = _handle_of(predecessor)
        if self._predecessor >= 0:
            self._epoll.register(self._predecessor, select.EPOLLIN)

    def run(self) -> None:
        """Work until all has ended or SIGTERM comes."""
        with _signals_wake(self._epoll, self._stop) as wakeup:
            self._tick()
            if self._predecessor < 0:
                self._begin()
            while not (self.stopping or self._over()):
                self._turn(wakeup)
            if self.stopping:
                self._drain()
            self._end_all()

    def _stop(self) -> None:
        self.stopping = True

    def _begin(self) -> None:
        """Read and write from now on; until now nothing but the keeper was heard."""
        if self._predecessor >= 0:
            self._epoll.unregister(self._predecessor)
            os.close(self._predecessor)
            self._predecessor = -1
        self._epoll.register(self._events, select.EPOLLIN)
        for pipe in list(self._pipes.values()):
            self._listen(pipe)
        self._pages.say("info", f"log writer started (process {os.getpid()})")
        self._pages.flush()

    def _turn(self, wakeup: int) -> None:
        """Wait for something to happen, and do what there is to do, once."""
        ready = self._epoll.poll(self._pause())
        self._tick()
        for fd, mask in ready:
            if fd == wakeup:
                os.read(wakeup, 512)
            else:
                self._serve(fd, mask)
        self._let_go_on()
        self._give_up_unfinished()
        self._count_floods(self._now)
        self._pages.flush()
        self._retry()
        if ready and not self.stopping and not self._control.behind:
            time.sleep(NAP)

    def _tick(self) -> None:
        self._now = time.monotonic()
        self._pages.when = logs.stamp(time.time())

    def _pause(self) -> float | None:
        """Return how long (seconds) nothing has to be done, None for ever."""
        due = [next(iter(self._unfinished.values()))] if self._unfinished else []
        due += [self._limited[0][0]] if self._limited else []
        due += [self._retry_at] if self._pages.losing else []
        due += [self._leave_at] if self._leave_at else []
        due += self._floods.due
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _over(self) -> bool:
        """Say whether everything has ended: the keeper, every pipe, and (or soon) who writes events."""
        if self._control.sock or self._pipes:
            self._leave_at = 0.0
            return False
        self._leave_at = self._leave_at or self._now + GRACE
        return self._events < 0 or self._now >= self._leave_at

    def _serve(self, fd: int, mask: int) -> None:
        if fd in self._pipes:
            self._read(self._pipes[fd], READ)
        elif fd == self._events:
            self._read_events()
        elif fd == self._predecessor:
            self._begin()
        else:
            self._control.serve(fd, mask)

    # Pipes

    def _attach(self, pipe: Pipe) -> None:
        """Begin to read a pipe, in place of one of the same key."""
        if pipe.key in self._keys:
            self._detach(self._keys[pipe.key])
        os.set_blocking(pipe.fd, False)
        self._pipes[pipe.fd] = self._keys[pipe.key] = pipe
        allowance = self._allowance(pipe.owner)
        allowance.pipes.add(pipe)
        if not allowance.limited:
            self._listen(pipe)

    def _listen(self, pipe: Pipe) -> None:
        if self._predecessor >= 0:
            return  # It is read by him, for now.
        try:
            self._epoll.register(pipe.fd, select.EPOLLIN)
        except PermissionError:  # a file: it is always ready and has no end to wait for (epoll_ctl(2), EPERM)
            self._pages.say("warning", f"{pipe.key} is not a pipe and is not read")
            self._finish(pipe)

    def _allowance(self, owner: str) -> Allowance:
        """Find an application's allowance; forget those that make no difference any more."""
        if owner not in self._allowances:
            for name, other in list(self._allowances.items()):
                if not other.pipes and not other.limited:
                    other.refill(self._now, SUSTAINED)
                    if other.full:
                        del self._allowances[name]
            self._allowances[owner] = Allowance(self._now)
        return self._allowances[owner]

    def _read(self, pipe: Pipe, size: int) -> int:
        """Read a piece and take its lines; return how many bytes there were."""
        try:
            data = os.read(pipe.fd, size)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._pages.say("warning", f"{pipe.key} cannot be read: {error}")
            data = b""
        if not data:
            self._finish(pipe)
            return 0
        self._take(pipe, pipe.assembler.feed(data))
        self._unfinished.pop(pipe, None)
        if pipe.assembler.partial:
            self._unfinished[pipe] = self._now + SILENCE
        if not self.stopping:
            self._charge(pipe, data)
        return len(data)

    def _take(self, pipe: Pipe, texts: list[str]) -> None:
        if pipe.file == "messages":
            texts = self._floods.sift(pipe.prefix, texts, self._now)
        if texts:
            self._pages.add(pipe.file, pipe.prefix, texts)

    def _count_floods(self, now: float) -> None:
        for prefix, text in self._floods.over(now):
            self._pages.add("messages", prefix, [text])

    def _finish(self, pipe: Pipe) -> None:
        """Let go of a pipe that has ended, and tell the keeper."""
        self._detach(pipe)
        self._control.tell({"done": pipe.key})

    def _detach(self, pipe: Pipe) -> None:
        self._take(pipe, pipe.assembler.end())
        self._unfinished.pop(pipe, None)
        self._allowances[pipe.owner].pipes.discard(pipe)
        del self._pipes[pipe.fd], self._keys[pipe.key]
        with suppress(OSError):
            self._epoll.unregister(pipe.fd)
        os.close(pipe.fd)

    def _give_up_unfinished(self) -> None:
        """Write the beginning of each line whose end has not come for a while."""
        while self._unfinished:
            pipe, due = next(iter(self._unfinished.items()))
            if due > self._now:
                return
            del self._unfinished[pipe]
            if self._allowances[pipe.owner].limited:
                self._unfinished[pipe] = self._now + SILENCE  # it is we who are silent
            else:
                self._take(pipe, pipe.assembler.pause())

    # Who prints too fast

    @property
    def _rate(self) -> float:
        return min(SUSTAINED, TOTAL / (len(self._limited) or 1))

    def _charge(self, pipe: Pipe, data: bytes) -> None:
        allowance = self._allowances[pipe.owner]
        allowance.refill(self._now, self._rate)
        if allowance.spend(data) or allowance.limited:
            return
        allowance.limited = True
        self._postpone(allowance)
        for other in allowance.pipes:
            self._epoll.unregister(other.fd)
        if pipe.file == "WSGI" and self._now - allowance.told >= SLOWED_EVERY:
            allowance.told = self._now
            self._pages.add("WSGI", pipe.slowed, [SLOWED])

    def _postpone(self, allowance: Allowance) -> None:
        due = self._now + allowance.wait(self._rate)
        heapq.heappush(self._limited, (due, id(allowance), allowance))

    def _let_go_on(self) -> None:
        """Read again those whose pause is over."""
        while self._limited and self._limited[0][0] <= self._now:
            rate = self._rate
            allowance = heapq.heappop(self._limited)[2]
            allowance.refill(self._now, rate)
            if allowance.wait(rate) > NAP:
                self._postpone(allowance)
                continue
            allowance.limited = False
            for pipe in list(allowance.pipes):
                self._listen(pipe)

    # Events

    def _read_events(self) -> None:
        try:
            data = os.read(self._events, 2 * READ)
        except BlockingIOError:
            return
        if not data:
            self._epoll.unregister(self._events)
            os.close(self._events)
            self._events = -1
        *whole, self._events_rest = (self._events_rest + data).split(b"\n")
        for line in whole:
            self._pages.add_event(line)
        if len(self._events_rest) > READ:
            self._pages.add_event(self._events_rest)
            self._events_rest = b""

    # The end

    def _retry(self) -> None:
        """Say what was lost as soon as the disk has room again, even if nobody prints."""
        if self._pages.losing and self._now >= self._retry_at:
            self._pages.retry()
            self._retry_at = self._now + RETRY

    def _drain(self) -> None:
        """Read what is in the pipes by now, and no more: somebody may print for ever."""
        if self._predecessor >= 0:
            return  # It is his to read.
        deadline = time.monotonic() + DRAIN
        self._control.read()
        if self._events >= 0:
            self._read_events()
        left = {pipe: available(pipe.fd) for pipe in self._pipes.values()}
        while left and time.monotonic() < deadline:
            self._tick()
            for pipe, size in list(left.items()):
                left[pipe] -= self._read(pipe, min(size, READ)) if size else 0
                if left[pipe] <= 0 or pipe.fd not in self._pipes:
                    del left[pipe]
            self._pages.flush()

    def _end_all(self) -> None:
        for pipe in list(self._pipes.values()):
            self._detach(pipe)
        self._count_floods(math.inf)
        self._pages.flush()


@contextmanager
def _signals_wake(epoll: select.epoll, stop: Callable[[], None]) -> Iterator[int]:
    """Have SIGTERM leave a note and end the wait; a Ctrl-C is for the keeper, who will tell us."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: stop())
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    epoll.register(reading, select.EPOLLIN)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(-1)
        os.close(reading)
        os.close(writing)


def _handle_of(pid: int) -> int:
    """Return what becomes readable when a process has ended (pidfd_open(2)), -1 where there is none."""
    try:
        return os.pidfd_open(pid) if pid else -1
    except ProcessLookupError:
        return -1


def _raise_file_limit() -> None:
    """Allow as many descriptors as the machine does: an application has two pipes a process."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(argv: list[str]) -> int:
    """Run the log writer; return the exit status."""
    if len(argv) != 4 or not all(word.isdigit() for word in argv[1:]):
        print("usage: python -m webapps.runtime.logwriter LOG_DIR CONTROL_FD EVENTS_FD PREDECESSOR", file=sys.stderr)
        return 2
    seclusion.seclude()
    _raise_file_limit()
    LogWriter(Path(argv[0]), socket.socket(fileno=int(argv[1])), int(argv[2]), int(argv[3])).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
