"""Check passwords in a process beside the gate: a hash takes a quarter of a second, and wrong ones must not stall it.

Run as ``python -m portal.gate.passwords``: reads a JSON object a line, ``{"id", "user", "password", "address"}``, and
answers ``{"id", "outcome", "seconds"}`` with outcome right, wrong, locked (for so many seconds) or busy.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

#: How many checks may wait, in all and from one address; whoever comes then is asked to come again.
MOST = 32
MOST_OF_ONE = 4
LONGEST_NAME = 150
LONGEST_PASSWORD = 4096
LINE = 1 << 16


@dataclass(frozen=True)
class Checked:
    """What became of a check; ``seconds`` is how long a lock lasts."""

    outcome: str
    seconds: int = 0


BUSY, WRONG = Checked("busy"), Checked("wrong")


class Passwords:
    """The gate's side: at most so many checks at once, started again when the process ends."""

    def __init__(self, argv: tuple[str, ...] = (sys.executable, "-m", "portal.gate.passwords")) -> None:
        self.argv = argv
        self.process: asyncio.subprocess.Process | None = None
        self.waiting: dict[int, asyncio.Future[Checked]] = {}
        self.of_address: Counter[str] = Counter()
        self.number = 0
        self.reader: asyncio.Task[None] | None = None
        self.starting = asyncio.Lock()

    async def check(self, user: str, password: str, address: str) -> Checked:
        """Return whether this is the user's password."""
        if not _possible(user, password):
            return WRONG
        if len(self.waiting) >= MOST or self.of_address[address] >= MOST_OF_ONE:
            return BUSY
        self.of_address[address] += 1
        try:
            return await self._asked(user, password, address)
        finally:
            self.of_address[address] -= 1
            if not self.of_address[address]:
                del self.of_address[address]

    async def _asked(self, user: str, password: str, address: str) -> Checked:
        async with self.starting:
            process = await self._running()
        self.number += 1
        number = self.number
        answer: asyncio.Future[Checked] = asyncio.get_running_loop().create_future()
        self.waiting[number] = answer
        try:
            request = {"id": number, "user": user, "password": password, "address": address}
            assert process.stdin
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
            return await answer
        except OSError:
            return BUSY
        finally:
            self.waiting.pop(number, None)

    async def _running(self) -> asyncio.subprocess.Process:
        if self.process is None or self.process.returncode is not None:
            pipe = asyncio.subprocess.PIPE
            self.process = await asyncio.create_subprocess_exec(*self.argv, stdin=pipe, stdout=pipe, limit=LINE)
            self.reader = asyncio.create_task(self._read(self.process))
        return self.process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hand out answers until the process ends; whoever waits then is asked to come again."""
        assert process.stdout
        while line := await process.stdout.readline():
            said = json.loads(line)
            waiting = self.waiting.get(said["id"])
            if waiting and not waiting.done():
                waiting.set_result(Checked(said["outcome"], said["seconds"]))
        await process.wait()
        for waiting in self.waiting.values():
            if not waiting.done():
                waiting.set_result(BUSY)

    async def stop(self) -> None:
        """End the process: it leaves when nobody can ask it any more."""
        if self.process and self.process.stdin:
            self.process.stdin.close()
            await self.process.wait()
        if self.reader:
            await self.reader


def _possible(user: str, password: str) -> bool:
    """Say whether an account could have this name: nothing is hashed or noted for what cannot."""
    return bool(user) and len(user) <= LONGEST_NAME and len(password) <= LONGEST_PASSWORD and user.isprintable()


def serve(lines: Any, answers: Any) -> None:
    """Answer each line in its turn."""
    for line in lines:
        asked = json.loads(line)
        checked = checked_by_django(asked["user"], asked["password"], asked["address"])
        answer = {"id": asked["id"], "outcome": checked.outcome, "seconds": checked.seconds}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def checked_by_django(user: str, password: str, address: str) -> Checked:
    """Ask Django's backends, django-axes among them, as the sign-in page does."""
    from axes.handlers.proxy import AxesProxyHandler
    from django.contrib.auth import authenticate
    from django.db import DatabaseError, close_old_connections
    from django.http import HttpRequest

    from portal import locks

    request: Any = HttpRequest()
    request.META["REMOTE_ADDR"] = address
    request.META["PATH_INFO"] = "/-/gate"
    try:
        close_old_connections()
        found = authenticate(request, username=user, password=password)
        if found is not None:
            AxesProxyHandler.reset_attempts(username=user, ip_address=address)
            return Checked("right")
        lock = locks.lock_of(user, address)
    except DatabaseError as error:
        print(f"a password could not be checked: {error}", file=sys.stderr, flush=True)
        return BUSY
    return Checked("locked", lock.seconds) if lock else WRONG


def main() -> None:
    """Set Django up and answer until nobody can ask any more."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    os.nice(5)  # Whoever is signed in goes first.
    serve(sys.stdin, sys.stdout)


if __name__ == "__main__":
    main()
