"""Which control group is Stoa's to divide, and what is done there: in what looks like groups, and in real ones."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import wait_for
from webapps.runtime import cgroups, processes
from webapps.runtime.cgroups import Delegated
from webapps.runtime.nsgroups import NamespaceGroups, most_processes, weight
from webapps.runtime.spec import Bounds

OFFERED = "cpuset cpu io memory pids"


class Said:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str, _level: str = "info") -> None:
        self.lines.append(text)


def make_group(path: Path, kind: str = "domain") -> Path:
    """Make what looks like a control group."""
    path.mkdir(parents=True)
    files = {"cgroup.type": kind, "cgroup.controllers": OFFERED, "cgroup.procs": "", "cgroup.subtree_control": ""}
    for name, text in files.items():
        (path / name).write_text(f"{text}\n" if text else "")
    return path


def told_of(tmp_path: Path, group: str, root: str = "/") -> Path:
    """Make what looks like /proc/self of a process in a group."""
    proc = tmp_path / "proc"
    proc.mkdir(exist_ok=True)
    (proc / "cgroup").write_text(f"4:memory:/elsewhere\n0::{group}\n")
    mounted = str(tmp_path / "cgroup of 2").replace(" ", "\\040")
    (proc / "mountinfo").write_text(
        f"36 31 0:33 / /sys/fs/cgroup/devices rw shared:9 - cgroup cgroup rw,devices\n"
        f"41 31 0:38 {root} {mounted} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    )
    return proc


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Let the test say which groups a service manager has marked; nothing counts because it is ours."""
    names = set[str]()
    monkeypatch.setattr(cgroups, "is_marked", lambda group: group.name in names)
    monkeypatch.setattr(cgroups, "_is_ours", lambda group: False)
    return names


def test_a_marked_group_is_stoas(tmp_path: Path, marked: set[str]) -> None:
    group = make_group(tmp_path / "cgroup of 2" / "system.slice" / "stoa.service")
    marked.add("stoa.service")

    assert cgroups.find(told_of(tmp_path, "/system.slice/stoa.service")) == Delegated(group)


def test_who_is_in_the_leaf_finds_the_group_above_it(tmp_path: Path, marked: set[str]) -> None:
    group = make_group(tmp_path / "cgroup of 2" / "stoa.service")
    make_group(group / "stoa")
    marked.add("stoa.service")

    assert cgroups.find(told_of(tmp_path, "/stoa.service/stoa")) == Delegated(group, inside=True)


def test_only_a_part_of_the_tree_may_be_mounted(tmp_path: Path, marked: set[str]) -> None:
    group = make_group(tmp_path / "cgroup of 2" / "inner")
    marked.add("inner")

    assert cgroups.find(told_of(tmp_path, "/outer/inner", root="/outer")).root == group
    assert "version 2" in cgroups.find(told_of(tmp_path, "/outermost", root="/outer")).why_not
    assert "version 2" in cgroups.find(told_of(tmp_path, "/../inner")).why_not


def test_a_group_that_is_not_marked_is_left_alone(tmp_path: Path, marked: set[str]) -> None:
    make_group(tmp_path / "cgroup of 2" / "user.slice")
    found = cgroups.find(told_of(tmp_path, "/user.slice"))

    assert found == Delegated(why_not="its group is not delegated")
    assert cgroups.settle(found, os.getpid()) == found
    assert not (tmp_path / "cgroup of 2" / "user.slice" / "stoa").exists()


def test_the_machines_root_group_is_never_stoas(tmp_path: Path, marked: set[str]) -> None:
    (make_group(tmp_path / "cgroup of 2") / "cgroup.type").unlink()
    marked.add("cgroup of 2")

    assert cgroups.find(told_of(tmp_path, "/")) == Delegated(why_not="it runs in the machine’s root group")


def test_a_threaded_group_is_left_alone(tmp_path: Path, marked: set[str]) -> None:
    make_group(tmp_path / "cgroup of 2" / "x", kind="threaded")
    marked.add("x")

    assert cgroups.find(told_of(tmp_path, "/x")).why_not == "its group is threaded"


def test_without_walls_there_are_no_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_WALLS", "0")

    assert cgroups.find() == Delegated(why_not="STOA_WALLS=0")


def test_the_keeper_moves_into_the_leaf_and_hands_down_what_is_used(tmp_path: Path) -> None:
    root = make_group(tmp_path / "unit")
    settled = cgroups.settle(Delegated(root), 4711)

    assert settled == Delegated(root, controllers=("pids", "cpu", "memory"))
    assert (root / "stoa" / "cgroup.procs").read_text() == "4711"
    assert (root / "cgroup.subtree_control").read_text() == "+memory"


def test_where_no_controller_is_given_the_keeper_moves_back(tmp_path: Path) -> None:
    root = make_group(tmp_path / "unit")
    (root / "cgroup.controllers").write_text("cpuset io\n")
    settled = cgroups.settle(Delegated(root), 4711)

    assert settled == Delegated(why_not="no controller is delegated: pids, cpu or memory")
    assert (root / "cgroup.procs").read_text() == "4711"


def test_where_others_are_in_the_group_the_keeper_moves_back(tmp_path: Path) -> None:
    root = make_group(tmp_path / "unit")
    (root / "cgroup.procs").write_text("1234\n")

    assert cgroups.settle(Delegated(root), 4711).why_not == "its group has processes that are not Stoa’s"
    assert (root / "cgroup.subtree_control").read_text() == ""
    assert (root / "cgroup.procs").read_text() == "4711"


# Namespaces


@pytest.mark.parametrize(("nice", "share"), [(0, 100), (1, 80), (5, 33), (10, 11), (19, 1)])
def test_weights_are_the_kernels_own(nice: int, share: int) -> None:
    assert weight(nice) == share


def test_each_worker_may_have_as_many_processes_as_its_own_limit_says() -> None:
    assert most_processes([]) == 512
    assert most_processes([Bounds(processes=20)]) == 40
    assert most_processes([Bounds(processes=20), Bounds(processes=30), Bounds()]) == 20 + 30 + 512 + 512


def groups_in(tmp_path: Path, said: Said | None = None) -> NamespaceGroups:
    delegated = Delegated(make_group(tmp_path / "unit"), inside=True, controllers=("pids", "cpu", "memory"))
    return NamespaceGroups(delegated, said or Said(), lambda _pid: [])  # type: ignore[arg-type]


def written(tmp_path: Path, namespace: str) -> tuple[str, ...]:
    group = tmp_path / "unit" / f"ns-{namespace}"
    return tuple((group / name).read_text() for name in ("pids.max", "cpu.weight", "memory.max"))


def test_a_groups_limits_stand_before_its_first_worker_is_there(tmp_path: Path) -> None:
    groups = groups_in(tmp_path)
    groups.enter("%TOOLS", "a", Bounds(processes=20, nice=5, memory_all=64 << 20))

    assert written(tmp_path, "%TOOLS") == ("40", "33", str(64 << 20))


def test_limits_follow_the_workers_and_the_wish(tmp_path: Path) -> None:
    groups = groups_in(tmp_path)
    groups.enter("USER", "a", Bounds(processes=20))
    groups.enter("USER", "b", Bounds(processes=20))
    two = written(tmp_path, "USER")
    groups.leave("USER", "a")
    groups.look({"USER": Bounds(processes=20, nice=19, memory_all=1 << 30)})

    assert two == ("60", "100", "max")
    assert written(tmp_path, "USER") == ("40", "1", str(1 << 30))


def test_only_controllers_that_are_given_are_written_to(tmp_path: Path) -> None:
    delegated = Delegated(make_group(tmp_path / "unit"), controllers=("pids",))
    groups = NamespaceGroups(delegated, Said())  # type: ignore[arg-type]
    groups.enter("USER", "a", Bounds(nice=5))

    assert [path.name for path in (tmp_path / "unit" / "ns-USER").iterdir()] == ["pids.max"]


def test_want_of_memory_is_told_once(tmp_path: Path) -> None:
    said = Said()
    groups = groups_in(tmp_path, said)
    groups.enter("USER", "a", Bounds())
    wished = {"USER": Bounds(memory_all=128 << 20)}
    for killed in (0, 2, 2):
        (tmp_path / "unit" / "ns-USER" / "memory.events").write_text(f"oom 9\noom_kill {killed}\n")
        groups.look(wished)

    assert said.lines == [
        "USER: the kernel has ended 2 of its processes for want of memory; memory of all is 128 MB",
    ]


def test_a_successor_knows_the_groups_that_are_there(tmp_path: Path) -> None:
    said = Said()
    root = make_group(tmp_path / "unit")
    (root / "ns-USER").mkdir()
    (root / "ns-USER" / "memory.events").write_text("oom_kill 5\n")
    groups = NamespaceGroups(Delegated(root, controllers=("pids",)), said)  # type: ignore[arg-type]
    groups.look({"USER": Bounds()})

    assert said.lines == []
    assert (root / "ns-USER" / "pids.max").read_text() == "512"


def test_without_a_group_nothing_happens(tmp_path: Path) -> None:
    groups = NamespaceGroups(Delegated(why_not="no"), Said())  # type: ignore[arg-type]
    groups.enter("USER", "a", Bounds())
    groups.look({"USER": Bounds()})
    groups.loosen()

    assert groups.take_in("USER", os.getpid()) == ""


# Real groups


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Path]:
    """A real group; controllers are not needed."""
    mounts = Path("/proc/self/mountinfo").read_text()
    root = next((Path(mounted) for top, mounted in cgroups._mounts(mounts) if top == "/"), None)
    if root is None or os.geteuid() or not os.access(root, os.W_OK):
        pytest.skip("needs root and a mount of cgroup2 that can be written")
    group = root / f"stoa-test-{uuid.uuid4().hex[:8]}"
    group.mkdir()
    yield group
    for left in [*group.glob("*/"), group]:
        left.rmdir()


@contextlib.contextmanager
def family() -> Iterator[list[int]]:
    """Have a process with a child; both have ended after that."""
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        child = int(process.stdout.readline())
        try:
            yield [process.pid, child]
        finally:
            os.kill(child, signal.SIGKILL)
            process.kill()


def test_a_worker_is_moved_with_what_it_has_started_and_the_group_goes_after_both(real: Path) -> None:
    said, group = Said(), real / "ns-USER"
    groups = NamespaceGroups(Delegated(real), said)  # type: ignore[arg-type]
    with family() as pids:
        groups.adopt("USER", "a", Bounds(), pids[0])
        inside = sorted(map(int, (group / "cgroup.procs").read_text().split()))
        groups.leave("USER", "a")
        groups.look({})
        assert inside == sorted(pids)
        assert group.exists()

    def gone() -> bool:
        groups.look({})
        return not group.exists()

    wait_for(gone, 10, "the group does not become empty")
    assert said.lines == []


def test_a_child_that_has_ended_and_is_not_collected_is_no_trouble(real: Path) -> None:
    with subprocess.Popen(["true"]) as zombie, family() as pids:
        wait_for(lambda: processes.started_at(zombie.pid) is None, 10, "it does not end")
        groups = NamespaceGroups(Delegated(real), Said(), lambda _pid: [zombie.pid])  # type: ignore[arg-type]
        groups.enter("USER", "a", Bounds())
        assert groups.take_in("USER", pids[0]) == ""


def test_a_worker_that_has_ended_is_no_trouble(real: Path) -> None:
    groups = NamespaceGroups(Delegated(real), Said())  # type: ignore[arg-type]
    groups.enter("USER", "a", Bounds())
    with subprocess.Popen(["true"]) as process:
        process.wait()

    assert groups.take_in("USER", process.pid) == ""


def test_the_end_removes_what_was_made(real: Path) -> None:
    for name in ("stoa", "ns-USER", "ns-OTHER"):
        (real / name).mkdir()
    with subprocess.Popen(["sleep", "60"]) as keeper:
        cgroups.write(real / "stoa" / "cgroup.procs", keeper.pid)
        cgroups.undo(Delegated(real), keeper.pid)
        left, inside = list(real.glob("*/")), (real / "cgroup.procs").read_text()
        keeper.kill()

    assert left == []
    assert inside == f"{keeper.pid}\n"
