"""Run one command to its end, then see that no process of it is left.

Linux gives the orphans of a child subreaper to it instead of to init (prctl(2)), so whatever the command
started, daemons with sessions of their own included, stays below this process and is found here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

PR_SET_CHILD_SUBREAPER = 36
TIME_LIMIT = float(os.environ.get("STOA_CI_TIME_LIMIT", "4500"))  # CI's own limit is 90 minutes
LAST_WORDS = 120.0  # seconds that pytest has to print its summary when it is interrupted
GRACE = 5.0
TICKS = os.sysconf("SC_CLK_TCK")
CLOSING_LINE = re.compile(rb"\d+ (?:passed|failed|errors?|skipped|deselected|xfailed|xpassed)\b.* in [\d.]+s")


class Echo(threading.Thread):
    """Pass the command's output on and keep pytest's closing line."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.pipe = pipe
        self.closing_line = b""

    def run(self) -> None:
        """Read until the last writer closes the pipe."""
        for line in self.pipe:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            if CLOSING_LINE.search(line):
                self.closing_line = line.rstrip()


class Journal:
    """What the tests note of themselves: ``<begin or outcome> <seconds since the epoch> <test>``, a line each."""

    def __init__(self) -> None:
        fd, name = tempfile.mkstemp(prefix="stoa-journal-")
        os.close(fd)
        self.path = Path(name)

    def lines(self) -> list[tuple[str, float, str]]:
        """Return what was noted, in its order."""
        found = []
        for line in self.path.read_text(errors="replace").splitlines():
            word, at, test = line.split(" ", 2)
            found.append((word, float(at), test))
        return found

    def unfinished(self) -> list[str]:
        """Say which tests had failed, and which were running, when no summary could be printed."""
        running: dict[str, None] = {}
        failed = []
        for word, _, test in self.lines():
            if word == "begin":
                running[test] = None
            else:
                running.pop(test, None)
            if word == "failed":
                failed.append(f"FAILED {test}")
        return [*failed, *(f"RUNNING {test}" for test in running)]

    def origin(self, pid: int) -> str:
        """Name the test that started a process: its environment says so, or when it was started."""
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            uptime = float(Path("/proc/uptime").read_text().split()[0])
        except OSError:
            return ""
        for pair in environment:
            if pair.startswith(b"PYTEST_CURRENT_TEST="):
                return "started by " + pair.partition(b"=")[2].decode(errors="replace")
        return self.running_at(time.time() - uptime + int(stat[19]) / TICKS)

    def running_at(self, moment: float) -> str:
        """Name the tests that ran at a moment."""
        running: dict[str, None] = {}
        for word, at, test in self.lines():
            if at > moment + 1 / TICKS:
                break
            if word == "begin":
                running[test] = None
            else:
                running.pop(test, None)
        return "started during " + ", ".join(running) if running else ""


def main(command: list[str]) -> int:
    """Run the command; return its status, 124 when it took too long, 1 when it left a process."""
    become_subreaper()
    signal.signal(signal.SIGTERM, stop)
    journal = Journal()
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TESTS_JOURNAL": str(journal.path)},
    )
    assert child.stdout is not None
    echo = Echo(child.stdout)
    echo.start()
    left: list[str] = []
    try:
        status = wait(child)
        left = [] if status == 124 else left_behind(journal)
    finally:
        kill_descendants()
        echo.join(GRACE)
    for description in left:
        print(f".ci/run: left behind and killed: {description}", flush=True)
    if not echo.closing_line:
        for line in journal.unfinished():
            print(f".ci/run: {line}", flush=True)
    journal.path.unlink(missing_ok=True)
    print(echo.closing_line.decode(errors="replace") or ".ci/run: pytest had no closing line", flush=True)
    return status or int(bool(left))


def become_subreaper() -> None:
    """Ask the kernel to make this process the parent of its orphaned descendants."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def stop(number: int, frame: FrameType | None) -> NoReturn:
    """End by way of the ``finally`` that kills the descendants."""
    raise SystemExit(128 + number)


def wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for the command's end, at most the time limit; then interrupt pytest, so that it says what it knows."""
    deadline = time.monotonic() + TIME_LIMIT
    while time.monotonic() < deadline:
        bury_orphans(child.pid)
        if child.poll() is not None:
            return child.returncode
        time.sleep(0.1)
    print(f".ci/run: stopped after {TIME_LIMIT:.0f} s", flush=True)
    for pid in descendants():
        if "-m pytest " in describe(pid) + " ":  # The first is the topmost.
            os.kill(pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(LAST_WORDS)
            break
    return 124


def left_behind(journal: Journal) -> list[str]:
    """Describe the descendants that do not end by themselves within the grace, with the test that left them."""
    deadline = time.monotonic() + GRACE
    while descendants() and time.monotonic() < deadline:
        time.sleep(0.05)
    return [f"{describe(pid)} {journal.origin(pid)}".rstrip() for pid in descendants()]


def kill_descendants() -> None:
    """Kill until none is left: one that is being killed may just have forked."""
    deadline = time.monotonic() + GRACE
    while (pids := descendants()) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def descendants() -> list[int]:
    """Return the pids below this process, after burying the dead among its children."""
    bury()
    parents = {int(entry.name): parent(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found = [os.getpid()]
    for pid in found:
        found += [child for child, its_parent in parents.items() if its_parent == pid]
    return found[1:]


def bury() -> None:
    """Collect the children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def bury_orphans(spared: int) -> None:
    """Collect the orphans that have ended, as init does, but not the command: a test may look for who has gone."""
    try:
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == spared:
                return
            os.waitpid(ended.si_pid, 0)
    except ChildProcessError:
        pass


def parent(entry: Path) -> int:
    """Return the parent of the process whose /proc directory this is, 0 when it is gone."""
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def describe(pid: int) -> str:
    """Return a process's pid and command line."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        words = []
    return f"{pid} {b' '.join(words).decode(errors='replace')}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
