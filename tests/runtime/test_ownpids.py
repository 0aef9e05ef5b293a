"""Workers in PID namespaces of their own, through a zygote: from inside as anywhere, from outside as any child."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.patience import within
from tests.runtime.zygote_site import Forked, ZygoteSite, why_not
from tests.waiting import wait_for
from webapps.runtime import processes, syscalls, takeover, walls
from webapps.runtime.held import Held

UNHEARD = """
import os, socket, time
from webapps.runtime import ownpids

ownpids.adopt()
link, told = socket.socketpair()
fd = told.detach()
if os.fork() == 0:
    link.close()
    ownpids.enter(fd)
    time.sleep(600)
os.close(fd)
assert ownpids.hear(link)
link.close()
print(sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(3)))
"""


@pytest.fixture(scope="module")
def site() -> Iterator[ZygoteSite]:
    if why := why_not():
        pytest.skip(why)
    with ZygoteSite() as running:
        yield running


@pytest.fixture(scope="module")
def means(site: ZygoteSite) -> walls.Means:
    found = site.means()
    if not found.pids:
        pytest.skip(f"this machine refuses it: {found.why_no_mounts or found.why_no_pids}")
    return found


@pytest.fixture(scope="module")
def serving(site: ZygoteSite, means: walls.Means) -> Forked:
    return site.worker(means)


@pytest.fixture
def own(means: walls.Means) -> Iterator[ZygoteSite]:
    """A zygote that a test may kill."""
    with ZygoteSite() as running:
        yield running


def test_it_is_tried_where_landlock_does_not_scope_signals(means: walls.Means) -> None:
    assert means.pids and means.mounts and means.landlock < 6
    assert means.uid != 0


def test_a_worker_sees_its_own_processes_only(serving: Forked) -> None:
    seen = serving.ask("who")

    assert seen["seen"] == [1, seen["pid"]]
    assert seen["group"] == seen["pid"]
    assert (seen["pid"], seen["parent"]) != (1, 1)


def test_workers_have_different_process_ids(site: ZygoteSite, means: walls.Means, serving: Forked) -> None:
    if not os.path.exists("/proc/sys/kernel/ns_last_pid"):
        pytest.skip("the kernel was built without CONFIG_CHECKPOINT_RESTORE")
    assert site.worker(means).ask("who")["pid"] != serving.ask("who")["pid"]


def test_a_worker_signals_nobody_outside(site: ZygoteSite, means: walls.Means, serving: Forked) -> None:
    other = site.worker(means)
    for pid in (site.process.pid, os.getpid(), other.pid, other.first, serving.first):
        assert serving.ask("kill", pid, signal.SIGKILL) == "ProcessLookupError"

    assert other.ask("who")


def test_the_first_process_takes_no_signal_of_its_worker(serving: Forked) -> None:
    first = serving.first
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
        assert serving.ask("kill", 1, number) == ""

    assert _state(first) == "S"


@pytest.mark.parametrize("landlock", [True, False], ids=["Landlock", "no Landlock"])
def test_the_first_process_is_no_way_out(site: ZygoteSite, means: walls.Means, landlock: bool) -> None:
    less = means if landlock else _without_landlock(means)
    worker = site.worker(less, processes=20)
    first, status = worker.first, _status(worker.first)

    assert not landlock or not less.landlock or worker.ask("trace", 1)
    assert (status["CapEff"], status["CapPrm"], status["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")
    assert os.readlink(f"/proc/{first}/cwd") == "/"
    assert os.stat(f"/proc/{first}/root/").st_dev == os.stat(f"/proc/{worker.pid}/root/").st_dev
    assert _most(first, "processes") == 0
    assert _most(first, "open files") < _most(worker.pid, "open files")
    assert [os.readlink(f"/proc/{first}/fd/{fd}") for fd in os.listdir(f"/proc/{first}/fd")] == ["anon_inode:[pidfd]"]


def test_what_programs_do_with_processes_works_as_outside(serving: Forked) -> None:
    assert set(serving.ask("ordinary").values()) == {True}


def test_orphans_leave_no_zombies(serving: Forked) -> None:
    assert serving.ask("orphan") is False


def test_the_first_process_is_not_counted_as_the_applications(site: ZygoteSite, means: walls.Means) -> None:
    if not means.counts:
        pytest.skip("the kernel does not count here")
    worker = site.worker(means, processes=20)

    assert worker.ask("spread") == 20 - len(os.listdir(f"/proc/{worker.pid}/task"))


@pytest.mark.parametrize(
    ("how", "status"), [("term", 0), ("abort", -signal.SIGABRT), ("exit", 3)], ids=["SIGTERM", "abort", "exit"]
)
def test_a_worker_that_ends_itself_is_known_by_its_status(
    site: ZygoteSite, means: walls.Means, how: str, status: int
) -> None:
    worker = site.worker(means)
    first = worker.first
    worker.ask("end", how)

    assert site.end_of(worker) == status
    wait_for(lambda: processes.started_at(first) is None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_worker_that_is_signalled_from_outside_is_known_by_its_status(
    site: ZygoteSite, means: walls.Means, number: signal.Signals
) -> None:
    worker = site.worker(means)
    os.kill(worker.pid, number)

    assert site.end_of(worker) == (0 if number == signal.SIGTERM else -number)


def test_what_a_worker_has_started_ends_with_it(own: ZygoteSite, means: walls.Means) -> None:
    worker = own.worker(means)
    worker.ask("leave")
    os.kill(worker.pid, signal.SIGKILL)

    assert own.end_of(worker) == -signal.SIGKILL
    own.wait_until_nothing_is_left()


def test_a_worker_ends_with_the_first_process_of_its_namespace(own: ZygoteSite, means: walls.Means) -> None:
    worker = own.worker(means)
    worker.ask("leave")
    os.kill(worker.first, signal.SIGKILL)

    assert own.end_of(worker) == -signal.SIGKILL
    own.wait_until_nothing_is_left()


def test_a_worker_that_is_killed_before_it_is_ready_leaves_nothing(own: ZygoteSite, means: walls.Means) -> None:
    for _ in range(10):
        worker = own.fork(means)
        os.killpg(worker.pid, signal.SIGKILL)
        assert own.end_of(worker) == -signal.SIGKILL
    own.wait_until_nothing_is_left()


def test_a_worker_of_which_the_zygote_could_not_tell_does_not_stay(site: ZygoteSite, means: walls.Means) -> None:
    assert means.pids
    assert site.run(UNHEARD) == [-signal.SIGKILL, 0, 0]


def test_a_worker_serves_on_when_its_zygote_is_killed(own: ZygoteSite, means: walls.Means) -> None:
    worker = own.worker(means)
    os.killpg(own.process.pid, signal.SIGKILL)  # As who takes over does.
    own.process.wait(within(10))

    assert worker.ask("who")["seen"]
    worker.ask("leave")
    os.killpg(worker.pid, signal.SIGKILL)
    own.wait_until_nothing_is_left()


def test_a_zygote_that_is_told_to_leave_takes_its_workers_along(own: ZygoteSite, means: walls.Means) -> None:
    worker = own.worker(means)
    own.process.send_signal(signal.SIGTERM)

    assert own.end_of(worker) == 0
    own.process.wait(within(20))
    own.wait_until_nothing_is_left()


def test_who_takes_over_leaves_the_first_process_alone(own: ZygoteSite, means: walls.Means) -> None:
    worker = own.worker(means)
    known = {"worker:a": Held([], {"pid": worker.pid})}
    parting = takeover.Parting(own.directory, takeover.Left(0, known, {}))

    assert parting._others({own.process.pid}) == []
    assert worker.first in processes.marked(own.directory)


def test_a_wall_that_cannot_be_put_up_is_said_as_ever(own: ZygoteSite, means: walls.Means) -> None:
    worker = own.fork(means, private="/not/there")
    said = worker.said()

    assert said["ready"] is False and "could not be put up" in said["reason"]
    assert own.end_of(worker) == 1
    own.wait_until_nothing_is_left()


def test_no_worker_sees_memory_that_others_share(site: ZygoteSite, means: walls.Means, serving: Forked) -> None:
    """Segments of System V belong to an IPC namespace and live as long as it does (shmget(2))."""
    workers = (serving, site.worker(means), site.worker(_without_pids(means)))
    seen = {os.stat(f"/proc/{pid}/ns/ipc").st_ino for pid in ("self", *(worker.pid for worker in workers))}

    assert len(seen) == 4


def test_each_worker_has_keys_of_its_own(site: ZygoteSite, means: walls.Means, serving: Forked) -> None:
    number = syscalls.KEYCTL.get(os.uname().machine)
    if not number:
        pytest.skip("the system call is not known on this machine")
    ours = site.run(f"import ctypes; print(ctypes.CDLL(None).syscall({number}, 0, -3, 0))")
    if ours < 0:
        pytest.skip("the kernel has no keyrings, or refuses them")
    seen = [
        worker.ask("keyring", number) for worker in (serving, site.worker(means), site.worker(_without_pids(means)))
    ]

    assert len({ours, *seen}) == 4 and 0 not in seen


@pytest.mark.parametrize("pids", [True, False], ids=["a PID namespace", "none"])
def test_a_worker_is_nice_as_a_session_too(site: ZygoteSite, means: walls.Means, pids: bool) -> None:
    if not os.path.exists("/proc/self/autogroup"):
        pytest.skip("the kernel was built without CONFIG_SCHED_AUTOGROUP")
    worker = site.worker(means if pids else _without_pids(means), nice=7)

    assert os.getpriority(os.PRIO_PROCESS, worker.pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 7)
    with open(f"/proc/{worker.pid}/autogroup") as group:
        assert group.read().endswith(" nice 7\n")


def test_where_it_is_not_needed_a_worker_has_no_second_process(own: ZygoteSite, means: walls.Means) -> None:
    worker = own.worker(_without_pids(means))

    assert own.left() == [worker.pid]
    assert os.getsid(worker.pid) == worker.pid


def _without_pids(means: walls.Means) -> walls.Means:
    return walls.Means.from_dict({**vars(means), "pids": False})


def _without_landlock(means: walls.Means) -> walls.Means:
    return walls.Means.from_dict({**vars(means), "landlock": 0})


def _status(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/status") as status:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in status)}


def _state(pid: int) -> str:
    return _status(pid)["State"][0]


def _most(pid: int, what: str) -> int:
    with open(f"/proc/{pid}/limits") as limits:
        return next(int(line.split()[-2]) for line in limits if line.startswith(f"Max {what} "))
