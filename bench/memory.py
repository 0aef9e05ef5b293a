"""What does an application weigh, awake and asleep? And what does the supervisor do while a thousand sleep?

    .venv/bin/python -m bench.memory [--awake 40] [--asleep 1000] [--idle 20]

Prints the median PSS of an awake Flask application, what all of Stoa's processes have gained for a sleeping one, and
the supervisor's CPU while nothing happens. PSS counts shared pages by their share (proc_pid_smaps(5)).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from bench import wrk
from bench.applications import FLASK, create, hello
from tests.serving import Stoa
from tests.waiting import wait_for

SETTLED = ("asleep", "running")


def main() -> None:
    """Measure awake applications, then sleeping ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--awake", type=int, default=40)
    parser.add_argument("--asleep", type=int, default=1000)
    parser.add_argument("--idle", type=int, default=20, help="seconds for which the supervisor's CPU is measured")
    options = parser.parse_args()
    with Stoa() as stoa:
        asleep(stoa, options.asleep, options.idle)
    with Stoa() as stoa:
        awake(stoa, options.awake)


def awake(stoa: Stoa, count: int) -> None:
    """Print what awake applications weigh, each asked three times."""
    row = hello(stoa, "/awake", FLASK)
    create(stoa, [{**row, "name": f"/awake{number}"} for number in range(count)])
    wait_for(lambda: settled(stoa, count), 120, lambda: str(stoa.live())[:2000])
    for _time in range(3):
        for number in range(count):
            stoa.eventually(f"/awake{number}/", text="hello")
    weights = [sum(map(pss, fact["pids"])) / 1024 for fact in stoa.live()["webapps"].values()]
    print(
        f"an awake Flask application, {count} awake: {statistics.median(weights):.1f} MB PSS (most {max(weights):.1f})"
    )


def asleep(stoa: Stoa, count: int, idle: int) -> None:
    """Print what all of Stoa has gained for a sleeping application, and what the supervisor does meanwhile."""
    before = of_stoa(stoa)
    row = hello(stoa, "/asleep", FLASK)
    create(stoa, [{**row, "name": f"/asleep{number}", "processes_min": 0} for number in range(count)])
    wait_for(lambda: settled(stoa, count), 120, lambda: str(stoa.live())[:2000])
    print_gains(before, of_stoa(stoa), count)
    print(f"the supervisor, {count} asleep: {share(stoa, idle) * 100:.2f} % of a core")


def settled(stoa: Stoa, count: int) -> bool:
    """Say whether so many applications sleep or answer, and the front has confirmed it."""
    live = stoa.live()
    states = [fact["state"] for fact in live.get("webapps", {}).values()]
    return len(states) >= count and all(state in SETTLED for state in states) and live["front"]["settled"]


def share(stoa: Stoa, seconds: int) -> float:
    """Return what share of a core the supervisor uses while nothing happens."""
    supervisor = stoa.pid_of("supervisor")
    time.sleep(5)  # What was to be done is done by then.
    used, began = wrk.ran(supervisor), time.monotonic()
    time.sleep(seconds)
    return (wrk.ran(supervisor) - used) / (time.monotonic() - began)


def print_gains(before: dict[str, float], after: dict[str, float], count: int) -> None:
    """Print what each part has gained for each application, and all together."""
    for name, now in after.items():
        gained = (now - before.get(name, 0.0)) / count * 1024
        print(f"    {name:24} {now:8.1f} MB, {gained:7.1f} kB an application")
    total = (sum(after.values()) - sum(before.values())) / count
    print(f"a sleeping application, {count} asleep: {total:.3f} MB PSS of all of Stoa's processes")


def of_stoa(stoa: Stoa) -> dict[str, float]:
    """Return the megabytes (PSS) of each child of the keeper with what is below it, and of the keeper itself."""
    children = stoa.children()
    found = {name: sum(map(pss, wrk.children(pid))) / 1024 for name, pid in children.items()}
    assert stoa.process
    return found | {"keeper": pss(stoa.process.pid) / 1024}


def pss(pid: int) -> int:
    """Return the kilobytes of a process, shared pages by their share; 0 where it has gone."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    except PermissionError:
        sys.exit("Stoa's own processes show their memory to root alone: start this as root")
    except (OSError, StopIteration):
        return 0


if __name__ == "__main__":
    main()
