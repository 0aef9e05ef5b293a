"""Other processes of the account: an application limits, slows down, traces and ends none of them, whatever it asks.

No Landlock keeps it from prlimit(2) and its like; a PID namespace does, in which nobody else has a number.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.accounts import host, need
from tests.serving import CHECKOUT, Stoa
from webapps.runtime import processes

WALL = "Limits and priorities of other processes"
NAME, NEIGHBOUR = "/escape/processes", "/escape/beside"
FIXTURE = (CHECKOUT / "tests" / "fixtureapps" / "processes" / "app.py").read_text()
PARTS = ("keeper", "log", "supervisor", "portal", "gate", "front")
SETTINGS = ("oom_score_adj", "coredump_filter", "cgroup", "limits", "comm")


@pytest.fixture(scope="module")
def trying(stoa: Stoa) -> Stoa:
    need(stoa, WALL)
    for name in (NAME, NEIGHBOUR):
        host(stoa, name, {"app.py": FIXTURE})
        stoa.set(name, processes_max=1)
        stoa.eventually(f"{name}/")
    return stoa


def asked(stoa: Stoa, do: str, *words: object, name: str = NAME) -> Any:
    """Have the application do something; return what it says."""
    query = urlencode([("do", do), *(("with", str(word)) for word in words)])
    answer = stoa.get(f"{name}/?{query}", timeout=60)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def targets(stoa: Stoa) -> dict[str, int]:
    """Return the processes that an application of the account could want to reach."""
    children = stoa.children()
    found = {name: children[name] for name in PARTS}
    found["zygote"] = next(pid for name, pid in children.items() if name.startswith("zygote:"))
    found["worker of nginx"] = processes.below(children["front"])[0]
    found["another application"] = stoa.fact(NEIGHBOUR)["pids"][0]
    found["first process of another"] = first_of(found["another application"])
    found["portal's worker"] = processes.below(children["portal"])[0]
    return found


def first_of(worker: int) -> int:
    """Return the first process of a worker's PID namespace, which is of its session (``takeover``)."""
    session = os.getsid(worker)
    (found,) = (
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and b" 1\n" in _number_inside(path) and _session(int(path.name)) == session
    )
    return found


def _number_inside(process: Path) -> bytes:
    try:
        lines = (process / "status").read_bytes().splitlines(keepends=True)
    except OSError:
        return b""
    line = next(line for line in lines if line.startswith(b"NSpid:"))
    return b" " + line.split()[-1] + b"\n" if len(line.split()) > 2 else b""


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def state(pid: int) -> dict[str, object]:
    """Return all that others can change of a process."""
    settings = {name: (Path(f"/proc/{pid}") / name).read_text() for name in SETTINGS}
    return {
        **settings,
        "start": processes.started_at(pid),
        "priority": os.getpriority(os.PRIO_PROCESS, pid),
        "affinity": os.sched_getaffinity(pid),
        "group": os.getpgid(pid),
        "traced": "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text(),
    }


def test_no_way_reaches_another_process(trying: Stoa) -> None:
    for name, pid in targets(trying).items():
        before = state(pid)
        met = asked(trying, "every_way", pid)

        assert {way: error for way, error in met.items() if not error} == {}, f"{name} is reached"
        assert state(pid) == before, name
        assert processes.is_alive(pid, before["start"] or 0), name  # type: ignore[arg-type]


def test_no_number_at_all_is_anothers(trying: Stoa) -> None:
    # Numbers begin anew where they have reached the kernel's largest: its own may be beyond all others.
    most = max(*targets(trying).values(), asked(trying, "who")["pid"]) + 200
    answered = asked(trying, "reached", min(most, 100_000))

    assert set(answered) <= set(asked(trying, "who")["tasks"])
    assert asked(trying, "who")["pid"] in answered


def test_the_account_as_a_whole_is_not_reached(trying: Stoa) -> None:
    before = {name: state(pid) for name, pid in targets(trying).items()}
    assert asked(trying, "all_of_the_account") == ""

    assert {name: state(pid) for name, pid in targets(trying).items()} == before
    trying.command("webapp", "reload", NAME)  # What it has done to itself goes with it.
    trying.eventually(f"{NAME}/")


def test_its_own_first_process_lends_it_nothing_and_goes_on(trying: Stoa) -> None:
    before = trying.fact(NAME)["pids"]
    asked(trying, "every_way", 1)
    lent = asked(trying, "lent")

    assert lent["places"] == []
    assert set(lent["held"]) <= {"anon_inode:[pidfd]"}
    assert trying.get(f"{NAME}/").status == 200
    assert trying.fact(NAME)["pids"] == before
    assert trying.get(f"{NEIGHBOUR}/").status == 200
