"""Try which walls the machine permits to an account, again and again until it answers.

A refusal is an answer. No answer, because the machine was too busy or the trial has died, says nothing of the walls.
"""

from __future__ import annotations

import itertools
import json
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import interpreter, processes, walls
from .walls import NoAnswer

# How long (seconds) a trial may take, and how long is waited before the next one; the last ones again and again.
LIMITS = (10.0, 20.0, 40.0, 60.0)
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)

Account = pwd.struct_passwd | None
Ask = Callable[[float], walls.Means]


class Trial:
    """One account's; a thread of its own asks. ``trouble`` is why there is no answer yet, "" where nothing is wrong."""

    def __init__(self, ask: Ask, wake: Callable[[], None], pauses: Sequence[float]) -> None:
        self.ask = ask
        self.wake = wake
        self.pauses = pauses
        self.means: walls.Means | None = None
        self.trouble = ""
        self.thread = threading.Thread(target=self._run, name="trial", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        for number in itertools.count():
            if self._answers(LIMITS[min(number, len(LIMITS) - 1)]):
                return
            self.wake()
            threading.Event().wait(self.pauses[min(number, len(self.pauses) - 1)])

    def _answers(self, limit: float) -> bool:
        """Ask once; say whether there is an answer."""
        try:
            self.means = self.ask(limit)
        except Exception as error:  # Whatever it was: without an answer nothing of the account may start.
            self.trouble = str(error) or type(error).__name__
            return False
        self.wake()
        return True


def ask(account: Account, wished: walls.Confinement, run_dir: Path, limit: float) -> walls.Means:
    """Have a process of the account try which walls the machine permits around what every application reaches.

    ``limit`` is how many seconds it may take. Raises NoAnswer or OSError.
    """
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PATH": os.defpath,
        processes.MARK: processes.mark_of(run_dir),
        walls.KEY: wished.to_json(),
    }
    with _started(account, environment) as trial:
        return _answer_of(trial, limit)


def _started(account: Account, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-m", walls.__name__],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            **_identity(account),
        )
    except PermissionError as error:
        problem = interpreter.problem(sys.executable, account.pw_name if account else "") or str(error)
        raise NoAnswer(f"{problem}; let it, or make .venv anew with STOA_PYTHON naming another Python") from error


def _identity(account: Account) -> Mapping[str, Any]:
    if account is None:
        return {}
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}


def _answer_of(trial: subprocess.Popen[bytes], limit: float) -> walls.Means:
    try:
        said, complaint = trial.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(trial.pid, signal.SIGKILL)  # What it has forked to try a wall in goes with it.
        raise NoAnswer(f"it did not answer within {limit:.0f} seconds") from None
    if trial.returncode:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise NoAnswer(f"{_end_in_words(trial.returncode)}{f': {last}' if last else ''}")
    try:
        return walls.Means.from_dict(json.loads(said))
    except (ValueError, TypeError, KeyError):
        raise NoAnswer("it answered something that is not understood") from None


def _end_in_words(status: int) -> str:
    return processes.end_in_words(status).partition(" (")[0]
