"""What this machine permits to the accounts that applications run as, and whether they may start with that."""

from __future__ import annotations

import functools
import os
import pwd
from collections.abc import Callable, Sequence
from pathlib import Path

from . import wallmode, walls
from .shortfall import Kernel, shortfall
from .trial import PAUSES, Account, Ask, Trial, ask
from .wallmode import WallMode

Asker = Callable[[Account], Ask]
WAITS = "it waits until it is known which walls this machine permits"
LACKS = "walls that this kernel has do not hold"
TO_DO = "Permit them (docs/operations.md, Walls)"
OR_WITHOUT = f"{TO_DO}, or start Stoa with {wallmode.VARIABLE}=1, which runs applications without them."


class Machine:
    """Ask once for each account; nothing of an account starts before there is an answer.

    ``say`` tells people what they should know (text and level), ``wake`` has ``look`` called soon.
    """

    def __init__(
        self,
        mode: WallMode,
        kernel: Kernel,
        asker: Asker,
        wake: Callable[[], None],
        say: Callable[[str, str], None],
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self.mode = mode
        self.kernel = kernel
        self.pauses = pauses
        self.asker = asker
        self.wake = wake
        self.say = say
        self.known: dict[int, walls.Means] = {}
        self.missing: dict[int, list[str]] = {}
        self.trials: dict[int, Trial] = {}
        self.said: dict[int, str] = {}

    def means(self, account: Account) -> walls.Means:
        """Return what the machine permits to an account. Raises OSError while it has not answered."""
        if waiting := self.waiting(account):
            raise OSError(waiting)
        return self.known[_uid(account)]

    def settle(self, account: Account, seconds: float) -> None:
        """Wait at most so long for an answer: before the supervisor runs there is no tick that could wait."""
        if self.waiting(account) and (trial := self.trials.get(_uid(account))):
            trial.thread.join(seconds)

    def waiting(self, account: Account) -> str:
        """Say what an application of an account waits for, "" where it need not. Asks, where nobody has."""
        uid = _uid(account)
        if self.mode is WallMode.OFF or self._is_known(uid):
            return ""
        try:
            trial = self.trials.get(uid) or Trial(self.asker(account), self.wake, self.pauses)
        except RuntimeError as error:  # No thread could be had: the next tick asks for one again.
            return f"{WAITS}: {error}"
        self.trials[uid] = trial
        failed = f": the trial as {_name(uid)} failed ({trial.trouble}); it is tried again by itself"
        return WAITS + (failed if trial.trouble else "")

    def _is_known(self, uid: int) -> bool:
        """Take the answer, if it has come."""
        trial = self.trials.get(uid)
        if uid not in self.known and trial and trial.means:
            self.known[uid] = trial.means
            self.missing[uid] = shortfall(trial.means, self.kernel)
        return uid in self.known

    def problem(self, account: Account) -> str:
        """Say why no application of an account may start, and what to do; "" where it may."""
        missing = self.missing.get(_uid(account), [])
        if self.mode is not WallMode.REQUIRED or not missing:
            return ""
        return f"{LACKS}: {'; '.join(missing)}. {OR_WITHOUT}"

    def warnings(self) -> list[str]:
        """List what people should know: which accounts wait for an answer, and what is refused to which."""
        return list(filter(None, map(self._warning, self.trials)))

    def _warning(self, uid: int) -> str:
        if not self._is_known(uid):
            return self._no_answer(uid, self.trials[uid].trouble)
        missing = "; ".join(self.missing[uid])
        if not missing:
            return ""
        if self.mode is WallMode.REQUIRED:
            return f"No application of {_name(uid)} starts: {LACKS}: {missing}. {OR_WITHOUT}"
        return f"Applications of {_name(uid)} run without walls that this kernel has: {missing}. {TO_DO}."

    def _no_answer(self, uid: int, trouble: str) -> str:
        words = f"Which walls this machine permits to {_name(uid)} could not be tried: {trouble}."
        return f"{words} Its applications wait; it is tried again by itself." if trouble else ""

    def look(self) -> None:
        """Take the answers that have come, and say what is new."""
        for uid in self.trials:
            self._tell(uid, self._warning(uid))

    def _tell(self, uid: int, words: str) -> None:
        before = self.said.get(uid, "")
        if words == before:
            return
        self.said[uid] = words
        if before and uid in self.known:
            self.say(f"This machine has answered which walls it permits to {_name(uid)}.", "info")
        if words:
            self.say(words, "warning")


def machine(
    run_dir: Path,
    user: str,
    wished: Callable[[], walls.Confinement],
    wake: Callable[[], None],
    say: Callable[[str, str], None],
) -> Machine:
    """Return the machine that we run on; ``wished`` says what every application reaches at least."""
    return Machine(
        wallmode.read(os.environ, user),
        Kernel.running(),
        lambda account: functools.partial(ask, account, wished(), run_dir),
        wake,
        say,
    )


def _uid(account: Account) -> int:
    return account.pw_uid if account else os.geteuid()


@functools.cache
def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
