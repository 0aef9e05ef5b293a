"""The keeper's children: processes that are started again when they end, after growing pauses."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import wire

# A child that lived this long (seconds) is started again at once; else after a pause that doubles to MAX_PAUSE.
STEADY = 5.0
MAX_PAUSE = 5.0


@dataclass
class Child:
    """A process that is started again when it ends."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    inherit: list[str] = field(default_factory=list)
    again: bool = True
    as_user: bool | str = False
    stopped: bool = False
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0

    def send(self, number: int) -> None:
        """Send a signal, if it runs.

        Popen.send_signal would collect a child that has just ended, and the keeper would wait for its end for ever.
        One that is not collected keeps its pid, so that nobody else can be hit.
        """
        if self.process:
            os.kill(self.process.pid, number)


@dataclass(frozen=True)
class Room:
    """What children get of the keeper.

    ``descriptors`` duplicates those that are held under keys, ``output`` makes a pipe for a child of a name and
    returns its writing end, ``note`` takes a level and a line for messages.log, ``started`` hears the name and the
    process id of each that was started.
    """

    directory: Path
    environment: Mapping[str, str]
    user: str
    descriptors: Callable[[Iterable[str]], dict[str, int]]
    output: Callable[[str], int]
    note: Callable[[str, str], None]
    started: Callable[[str, int], None]


class Children:
    """Start, and start again."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.by_name: dict[str, Child] = {}

    def add(self, child: Child) -> None:
        """Have a child started as soon as it is due."""
        self.by_name[child.name] = child

    def start_due(self) -> None:
        """Start the children whose time has come."""
        now = time.monotonic()
        for child in list(self.by_name.values()):
            if child.process is None and now >= child.due:
                self.start(child)

    def due(self) -> list[float]:
        """Return when (monotonic seconds) children are to be started."""
        return [child.due for child in self.by_name.values() if child.process is None]

    def has(self, name: str) -> bool:
        """Say whether there is a child of this name that is not about to end for good."""
        return name in self.by_name and not self.by_name[name].stopped

    def start(self, child: Child) -> None:
        """Start a child now; where that fails, later, unless it is to be started once: then it has ended."""
        child.started = time.monotonic()
        fds = self.room.descriptors(child.inherit)
        try:
            child.process = self._spawn(child, fds)
            self.room.started(child.name, child.process.pid)
        except (OSError, KeyError) as error:  # KeyError: its account has gone.
            self.room.note("error", f"{child.name} cannot be started: {error}")
            if child.again:
                self._again_later(child)
            else:
                self._forget(child)
        finally:
            wire.close_all(fds.values())

    def _spawn(self, child: Child, fds: dict[str, int]) -> subprocess.Popen[bytes]:
        environment = {**self.room.environment, **child.environment, **self._own(child)}
        output = self.room.output(child.name)
        try:
            return subprocess.Popen(  # noqa: S603
                [_filled(word, fds) for word in child.argv],
                env={name: _filled(value, fds) for name, value in environment.items()},
                pass_fds=list(fds.values()),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.room.directory,
                process_group=0,
                **self._identity(child),
            )
        finally:
            os.close(output)

    def _own(self, child: Child) -> dict[str, str]:
        """Give a child that runs as STOA_USER that account's own directory and name instead of root's."""
        user = self._user(child)
        return {"HOME": pwd.getpwnam(user).pw_dir, "USER": user, "LOGNAME": user} if user else {}

    def _user(self, child: Child) -> str:
        """Return the account that a child names, or STOA_USER where it is for whoever that is; "" is our own."""
        if os.geteuid():
            return ""
        return child.as_user if isinstance(child.as_user, str) else (self.room.user if child.as_user else "")

    def _identity(self, child: Child) -> dict[str, Any]:
        """Run front, zygotes and installers as STOA_USER or as a namespace's own, where Stoa was started as root."""
        user = self._user(child)
        if not user:
            return {}
        account = pwd.getpwnam(user)
        return {
            "user": account.pw_uid,
            "group": account.pw_gid,
            "extra_groups": os.getgrouplist(user, account.pw_gid),
        }

    def by_pid(self) -> dict[int, Child]:
        """Return the children that run."""
        return {child.process.pid: child for child in self.by_name.values() if child.process}

    def ended(self, child: Child, status: int) -> None:
        """Note an end, and plan the next start."""
        child.process = None
        if not child.again:
            self._forget(child)
            return
        self.room.note("warning", f"{child.name} ended with status {status} and is started again")
        self._again_later(child)

    def _forget(self, child: Child) -> None:
        if self.by_name.get(child.name) is child:
            del self.by_name[child.name]

    def _again_later(self, child: Child) -> None:
        if time.monotonic() - child.started > STEADY:
            child.pause = 0.0
        child.due = time.monotonic() + child.pause
        child.pause = min(MAX_PAUSE, child.pause * 2 or 0.1)

    def stop(self, name: str) -> None:
        """End a child for good; its name is free from now on."""
        child = self.by_name.get(name)
        if child:
            child.again, child.stopped = False, True
            if child.process:
                child.send(signal.SIGTERM)
            else:
                del self.by_name[name]

    def signal(self, name: str, number: int) -> None:
        """Signal a child, if it runs."""
        child = self.by_name.get(name)
        if child:
            child.send(number)

    def pids(self) -> dict[str, int]:
        """Return the process ids by name."""
        return {child.name: child.process.pid for child in self.by_name.values() if child.process}


def _filled(text: str, fds: Mapping[str, int]) -> str:
    return re.sub(r"\{fd:([^}]+)\}", lambda found: str(fds[found[1]]), text)
