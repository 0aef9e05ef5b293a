"""A whole Stoa in a control group that is delegated to it, where this machine has one to give (cgroups(7), version 2)."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.accounts import ACCOUNT, StoaOfOne, StoaOfTwo, give, no_account, python_of_account
from tests.serving import Stoa
from tests.waiting import wait_for
from webapps.runtime import cgroups

# As a process of Stoa's own has it; the test may itself be in any group.
INTO = 'echo $$ > "$0" && exec "$@"'
PROCESSES = 20
MEMORY = 128 << 20
# Where asked to, it starts processes until it is refused, says how many there were, and ends them; or takes memory.
GREEDY = """
import os, signal

def forked():
    started = []
    try:
        while len(started) < 300:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            started.append(pid)
        why = "nothing"
    except OSError as error:
        why = error.strerror
    for pid in started:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return f"{len(started)} {why}"

def written(path):
    try:
        with open(path, "w") as file:
            file.write("max")
    except OSError as error:
        return error.strerror
    return "written"

def application(environ, start_response):
    said = "here"
    if environ["PATH_INFO"] == "/fork":
        said = forked()
    elif environ["PATH_INFO"] == "/eat":
        said = str(len(b"x" * (400 << 20)))
    elif environ["PATH_INFO"] == "/write":
        said = written(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [said.encode()]
"""


class Grouped:
    """A Stoa that is started in a delegated group, as a service manager does it."""

    group = Path()

    def manage(self, *words: str) -> list[str]:
        """Start the one that serves there."""
        command: list[str] = super().manage(*words)  # type: ignore[misc]
        return ["sh", "-c", INTO, str(self.group / "cgroup.procs"), *command] if words[0] == "serve" else command


class GroupedStoa(Grouped, Stoa):
    """As it is started."""


class GroupedStoaOfTwo(Grouped, StoaOfTwo):
    """For another account."""


class GroupedStoaOfOne(Grouped, StoaOfOne):
    """By another account."""


def mounted() -> Path | None:
    """Return where the machine's root group is."""
    mounts = Path("/proc/self/mountinfo").read_text()
    return next((Path(mounted) for root, mounted in cgroups._mounts(mounts) if root == "/"), None)


@pytest.fixture
def group() -> Iterator[Path]:
    """Make a group, and remove it."""
    root = mounted()
    given = (root / "cgroup.subtree_control").read_text().split() if root else []
    if root is None or os.geteuid() or not {"pids", "cpu"} <= set(given):
        pytest.skip("needs root, and control groups of version 2 that have the controllers pids and cpu")
    made = root / f"stoa-test-{uuid.uuid4().hex[:8]}"
    made.mkdir()
    yield made
    wait_for(lambda: not (made / "cgroup.procs").read_text(), 10, lambda: "its group still has processes")
    for left in [*made.glob("*/"), made]:
        left.rmdir()


@pytest.fixture(params=["as it is started", "for another account", "by another account"])
def stoa(request: pytest.FixtureRequest, group: Path) -> Iterator[GroupedStoa]:
    """A Stoa in it, in which an application starts as many processes as it can."""
    if request.param != "as it is started" and (missing := no_account()):
        pytest.skip(missing)
    made: Any
    if request.param == "as it is started":
        made = GroupedStoa()
    else:
        made = (
            GroupedStoaOfTwo(python_of_account())
            if request.param == "for another account"
            else GroupedStoaOfOne(python_of_account())
        )
    made.group = group
    delegate(group, ACCOUNT if request.param == "by another account" else "")
    with made:
        limits = {"processes": PROCESSES, "nice": 5, "memory_all": MEMORY}
        source = "from webapps.models import *; n = Namespace.objects.get(name='USER'); "
        made.command("shell", "-c", f"{source} n.limits = {limits!r}; n.save()")
        directory = made.write("greedy", {"app.py": GREEDY})
        if isinstance(made, StoaOfTwo):
            give(directory)
        made.create("/greedy", directory)
        made.eventually("/greedy/")
        yield made


def delegate(group: Path, account: str) -> None:
    """Do what systemd does: mark it, or give it to an account."""
    if not account:
        os.setxattr(group, cgroups.MARKS[0], b"1")
        return
    owner = pwd.getpwnam(account)
    for path in (group, group / "cgroup.procs", group / "cgroup.subtree_control"):
        os.chown(path, owner.pw_uid, owner.pw_gid)


def members(group: Path) -> set[int]:
    return {int(pid) for pid in (group / "cgroup.procs").read_text().split()}


def test_a_namespace_has_a_group_with_its_limits(stoa: GroupedStoa) -> None:
    namespace = stoa.group / "ns-USER"
    started, why = stoa.get("/greedy/fork", timeout=60).text.split(" ", 1)
    walls = {wall["name"]: wall for wall in stoa.live()["walls"]}

    assert why == "Resource temporarily unavailable"
    assert int(started) < 2 * PROCESSES
    assert (namespace / "pids.max").read_text() == f"{2 * PROCESSES}\n"
    assert (namespace / "cpu.weight").read_text() == "33\n"
    assert members(namespace) >= set(stoa.fact("/greedy")["pids"])
    assert walls["Number of processes"]["holds"]
    assert walls["Number of processes"]["words"].endswith("control group")
    assert not members(stoa.group)


def test_an_application_cannot_raise_its_limit(stoa: GroupedStoa) -> None:
    if not next(wall for wall in stoa.live()["walls"] if wall["name"] == "Files")["holds"]:
        pytest.skip("the wall Files does not hold on this machine")
    limit = stoa.group / "ns-USER" / "pids.max"

    assert stoa.get(f"/greedy/write?{limit}").text != "written"
    assert limit.read_text() == f"{2 * PROCESSES}\n"


def test_its_groups_go_when_it_stops(stoa: GroupedStoa) -> None:
    assert stoa.stop() == 0

    assert list(stoa.group.glob("*/")) == []
    assert (stoa.group / "cgroup.subtree_control").read_text().split() == []


def test_a_killed_keeper_leaves_a_group_in_which_the_next_one_starts(stoa: GroupedStoa) -> None:
    namespace, old = stoa.group / "ns-USER", set(stoa.fact("/greedy")["pids"])
    stoa.kill()
    wait_for(lambda: not (stoa.group / "cgroup.subtree_control").read_text().split(), 10, lambda: "it is not loosened")
    assert stoa.get("/greedy/").status == 200

    stoa.start()

    wait_for(lambda: members(namespace) and not members(namespace) & old, 60, lambda: stoa.log("messages"))
    assert (namespace / "pids.max").read_text() == f"{2 * PROCESSES}\n"
    assert members(namespace) >= set(stoa.fact("/greedy")["pids"])


def test_a_killed_supervisor_is_followed_by_one_that_goes_on_with_the_groups(stoa: GroupedStoa) -> None:
    before, supervisor = members(stoa.group / "ns-USER"), stoa.pid_of("supervisor")
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: stoa.live() and stoa.pid_of("supervisor") != supervisor, 20, lambda: stoa.log("messages"))

    assert members(stoa.group / "ns-USER") == before
    assert next(wall for wall in stoa.live()["walls"] if wall["name"] == "Number of processes")["holds"]


def test_a_namespace_that_takes_too_much_memory_loses_a_process_and_it_is_said(stoa: GroupedStoa) -> None:
    if "memory" not in (stoa.group / "cgroup.controllers").read_text().split() or swap():
        pytest.skip("needs the controller memory, and a machine without swap")

    assert (stoa.group / "ns-USER" / "memory.max").read_text() == f"{MEMORY}\n"
    # The front may have asked again, and met the next worker or the page of an application that has crashed.
    assert stoa.get("/greedy/eat", timeout=60).status in (502, 503)
    said = r"USER: the kernel has ended \d+ of its processes for want of memory; memory of all is 128 MB"
    wait_for(lambda: re.search(said, stoa.log("messages")), 20, lambda: stoa.log("messages"))
    stoa.eventually("/greedy/")


def swap() -> bool:
    return "SwapTotal:             0 kB" not in Path("/proc/meminfo").read_text()


def test_a_group_in_which_others_are_stays_undivided(group: Path) -> None:
    delegate(group, "")
    with subprocess.Popen(["sleep", "600"]) as other:
        cgroups.write(group / "cgroup.procs", other.pid)
        try:
            made = GroupedStoa()
            made.group = group
            with made:
                words = {wall["name"]: wall["words"] for wall in made.live()["walls"]}
                assert "needs a control group, Delegate=yes in the unit (its group has processes" in words["CPU share"]
                assert list(group.glob("*/")) == []
                assert made.pid_of("supervisor") in members(group)
        finally:
            other.kill()
