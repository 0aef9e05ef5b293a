"""Drive wrk, and read what it says and what processes cost meanwhile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """One run: requests, requests a second, latency at the percentiles (ms), answers that were not 2xx or 3xx."""

    requests: int
    rate: float
    p50: float
    p99: float
    failed: int


def find() -> str:
    """Return the path of wrk, or say how to get it."""
    path = shutil.which("wrk")
    if not path:
        sys.exit("wrk is missing: apt-get install wrk")
    return path


def load(url: str, *, seconds: int = 4, connections: int = 16, threads: int = 1, headers: Sequence[str] = ()) -> Load:
    """Load one address for some seconds."""
    words = [find(), "-t", str(threads), "-c", str(connections), "-d", f"{seconds}s", "--latency"]
    for header in headers:
        words += ["-H", header]
    said = subprocess.run([*words, url], capture_output=True, text=True, check=True).stdout
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    return Load(
        requests=int(_found(r"(\d+) requests in", said)),
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        p50=_milliseconds(_found(r"(?m)^\s+50%\s+(\S+)", said)),
        p99=_milliseconds(_found(r"(?m)^\s+99%\s+(\S+)", said)),
        failed=(int(wrong[1]) if wrong else 0) + (sum(map(int, broken.groups())) if broken else 0),
    )


def _found(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    if not found:
        raise SystemExit(f"wrk said something else:\n{said}")
    return found[1]


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def cpu(pids: Sequence[int]) -> float:
    """Return the seconds of CPU that these processes have used."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def ran(pid: int) -> float:
    """Return the seconds that the threads of a process have run, to the nanosecond (sched-stats.rst).

    ``cpu`` counts ticks: what wakes once a second for a few milliseconds may meet many of them, or none.
    """
    stats = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(stat.read_text().split()[0]) for stat in stats) / 1e9


def children(pid: int) -> list[int]:
    """Return a process and what is below it."""
    found = [pid]
    for one in found:
        try:
            with open(f"/proc/{one}/task/{one}/children") as below:
                found += map(int, below.read().split())
        except OSError:
            continue
    return found
