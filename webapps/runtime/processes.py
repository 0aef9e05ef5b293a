"""Look at processes through /proc: who lives, since when, and who was left behind."""

from __future__ import annotations

import functools
import hashlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

MARK = "HOSTED_BY"
APPLICATION = "HOSTED_AS"
# A command line and an environment together are no longer than this in bytes (execve(2)).
MOST_WORDS = 6 << 20
# So often a way upwards is begun anew that somebody has left who was on it.
WALKS = 20


def mark_of(run_dir: Path) -> str:
    """Return the value of ``HOSTED_BY`` that the processes of this run directory carry; it gives nothing away."""
    return "stoa-" + hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:20]


def on_command_line(mark: str) -> list[str]:
    """Return the words by which a Python of Stoa's own, which keeps its environment to itself, carries the mark.

    Python takes any (``-X``), so that no program has to read them.
    """
    return ["-X", f"{MARK}={mark}"] if mark else []


def started_at(pid: int) -> int | None:
    """Return when the process started (clock ticks after boot), or None if it is not there or a zombie.

    Together with the pid this names a process for good: pids are used again (proc(5), stat field 22).
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def memory(pid: int) -> int:
    """Return the bytes that a process takes: its share of what it has in common with others (PSS) counted in.

    That can take long (``memory``). 0: it has gone.
    """
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def resident(pid: int) -> int:
    """Return the bytes that a process has in memory, which is never less than it takes; 0 where it has gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0


def cpu_seconds(pid: int) -> float:
    """Return the processor time (seconds) that a process has used, 0 where it has gone (proc(5), stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return 0.0
    fields = stat[stat.rindex(b")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def is_alive(pid: int, start: int) -> bool:
    """Say whether exactly this process still runs."""
    return started_at(pid) == start


def send_signal(pid: int, start: int, number: int, *, group: bool = False) -> None:
    """Send a signal to this process (or its whole group), unless it has gone."""
    if not is_alive(pid, start):
        return
    try:
        if group:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        pass


def marked(run_dir: Path) -> list[int]:
    """Find the processes of the Stoa whose run directory this is.

    Each of them was started with ``HOSTED_BY`` in its environment, which its descendants inherit, and Stoa's own, which
    show that to root alone, on the command line too; nginx overwrites its own, and is known by its working directory.
    """
    wanted = f"{MARK}={mark_of(run_dir)}".encode()
    return [pid for pid in _all() if pid != os.getpid() and (_carries(pid, wanted) or is_front(pid, run_dir))]


def _all() -> Iterable[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _carries(pid: int, wanted: bytes) -> bool:
    """Say whether a process carries a mark.

    Anybody may write any words on a command line. They count where the process is our own account's and still keeps its
    environment from us: an editor, or a search for these very words, does not.
    """
    words = _words(pid, "environ")
    if words is None and _is_ours(pid):
        words = _words(pid, "cmdline")
    return wanted in (words or ())


def _has(pid: int, wanted: bytes) -> bool:
    return wanted in (_words(pid, "environ") or ())


def _words(pid: int, name: str) -> list[bytes] | None:
    """Return the words of a process's ``environ`` or ``cmdline``, None where we may not read them."""
    try:
        return _beginning(f"/proc/{pid}/{name}").split(b"\0")
    except PermissionError:
        return None
    except OSError:
        return []  # It has gone.


def _beginning(path: str) -> bytes:
    """Read what a process shows, up to what the kernel gives a new one: it can have said that there is much more."""
    with open(path, "rb") as file:
        return file.read(MOST_WORDS)


def _is_ours(pid: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except OSError:
        return False


def is_front(pid: int, run_dir: Path) -> bool:
    """Say whether this is nginx, master or worker, of this run directory."""
    try:
        return os.readlink(f"/proc/{pid}/cwd") == str(run_dir) and b"nginx" in _beginning(f"/proc/{pid}/cmdline")
    except OSError:
        return False


def sweep(run_dir: Path) -> list[int]:
    """Kill every process of this run directory; return which."""
    killed: list[int] = []
    for _attempt in range(50):
        left = marked(run_dir)
        if not left:
            break
        killed += left
        # Stop them first: a fork bomb could be faster than a walk through /proc.
        _signal_all(left, signal.SIGSTOP)
        _signal_all(left, signal.SIGKILL)
        # A process that is ending shows no environment any more, but may still hold its sockets.
        wait_until(functools.partial(_all_gone, left), 5.0)
    return sorted(set(killed))


def _all_gone(pids: Iterable[int]) -> bool:
    return all(started_at(pid) is None for pid in pids)


def sweep_others(run_dir: Path, spared: set[int]) -> list[int]:
    """Kill every process of this run directory but the spared ones; return those that were killed."""
    left = [pid for pid in marked(run_dir) if pid not in spared]
    _signal_all(left, signal.SIGKILL)
    return left


def end_below(parent: int, spared: set[int], bury: Callable[[], None]) -> list[int]:
    """Kill whatever is below a process, which is its subreaper (prctl(2)), but the spared ones; return which.

    Nothing that was started below it can have left it, whatever it calls itself and whatever its environment says.
    ``bury`` waits for those that have ended: the first process of a PID namespace ends after all others of it are
    buried (pid_namespaces(7)), and those whose zygote was killed are children of the subreaper.
    """

    def have_gone() -> bool:
        bury()
        return _all_gone(left)

    killed: list[int] = []
    for _attempt in range(50):
        left = [pid for pid in below(parent) if pid not in spared and started_at(pid) is not None]
        if not left:
            break
        killed += left
        _signal_all(left, signal.SIGSTOP)
        _signal_all(left, signal.SIGKILL)
        wait_until(have_gone, 5.0)
    return sorted(set(killed))


def end_orphans(parent: int, application: int) -> list[int]:
    """Kill what an application has left behind, and what that has started; return which.

    Whatever outlives the process that started it comes to ``parent``, the keeper, which is their subreaper
    (prctl(2)); what the application itself had put in its environment (``HOSTED_AS``) tells whose it is.
    """
    mark = f"{APPLICATION}={application}".encode()
    found = [pid for orphan in _children(parent) if _has(orphan, mark) for pid in (orphan, *below(orphan))]
    _signal_all(found, signal.SIGKILL)
    return found


def below(pid: int) -> list[int]:
    """Return the children of a process, and what is below them."""
    found, new = list[int](), _children(pid)
    while new:
        found += new
        new = [grandchild for child in new for grandchild in _children(child)]
    return found


def is_below(pid: int, top: int) -> bool:
    """Say whether a process is another one, or below it."""
    for _walk in range(WALKS):
        last = _upwards(pid, top)
        if last:
            return last == top
    return False


def _upwards(pid: int, top: int) -> int:
    """Go from parent to parent, to ``top`` at most; return the last one, 0 where one on the way has just ended.

    Whoever was below that one has another parent by now. Where the process itself has gone, nothing is above it.
    """
    here = pid
    while here > 1 and here != top:
        found = _stat(here)
        if not found:
            return 0 if here != pid else pid
        here = int(found[1])
    return here or 1


def born_at(pid: int) -> int:
    """Return when a process started, as ``started_at``, a zombie too; 0 where it has gone."""
    found = _stat(pid)
    return int(found[19]) if found else 0


def _stat(pid: int) -> list[bytes]:
    """Return what the kernel says of a process from its state on (proc(5), stat), nothing where it has gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return []
    return stat[stat.rindex(b")") + 2 :].split()


def titled(parent: int, title: bytes) -> frozenset[int]:
    """Return a process's children of a title, such as nginx's workers that take requests."""
    found = set()
    for pid in _children(parent) if parent else ():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if words.rstrip(b"\0 ") == title:
            found.add(pid)
    return frozenset(found)


def groups() -> Counter[int]:
    """Count the processes of the machine by their group (proc(5), stat field 5)."""
    found = Counter[int]()
    for pid in _all():
        try:
            stat = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            continue
        found[int(stat[stat.rindex(b")") + 2 :].split()[2])] += 1
    return found


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process (proc(5); empty where the kernel does not tell)."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, path.read_bytes().split())
        except OSError:
            continue  # The thread has ended.
    return found


def _signal_all(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition holds; return False if it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def end_in_words(status: int | None) -> str:
    """Say how a process ended: its exit status, or the signal where that is negative."""
    if status is None:
        return "ended"
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return f"was killed by {name}"
    return f"ended with status {status} (did it call sys.exit or os._exit?)"
