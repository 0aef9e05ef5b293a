"""Stoa's own processes keep to themselves, where nothing else keeps an application of the same account from them.

They belong to an ordinary account here, which has no right to look into them either, and have to be found nevertheless.
"""

from __future__ import annotations

import base64
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.accounts import ACCOUNT, StoaOfOne, no_account, python_of_account
from tests.e2e.test_browser import make_wheel
from tests.e2e.test_takeover import everybody, have_gone, words_of
from tests.e2e.test_walls import ESCAPE, host, met
from tests.patience import within
from tests.serving import Stoa
from tests.waiting import wait_for
from webapps.runtime import processes

OWN = ("keeper", "log", "supervisor", "portal", "gate", "zygote")
BELOW = ("portal’s worker", "gate’s worker", "passwords")
ADMIN = {"Authorization": "Basic " + base64.b64encode(b"admin:secret-of-the-test").decode()}


def ordinary() -> Stoa:
    """Return a Stoa without walls that an ordinary account starts for itself."""
    if os.geteuid():
        return Stoa(STOA_WALLS="0")
    if missing := no_account():
        pytest.skip(missing)
    stoa = StoaOfOne(python_of_account())
    stoa.environment["STOA_WALLS"] = "0"
    return stoa


class StoaHidden(StoaOfOne):
    """A Stoa in a /proc that shows its reader only what he may trace (proc(5), hidepid)."""

    mount = ("mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc")

    def manage(self, *words: str) -> list[str]:
        """Run it there."""
        return ["unshare", "-m", "sh", "-c", f'{" ".join(self.mount)} && exec "$@"', "sh", *super().manage(*words)]


@pytest.fixture(scope="module")
def unwalled() -> Iterator[Stoa]:
    with ordinary() as running:
        for name in ("escape", "neighbour"):
            host(running, name)
        running.create("/door", running.home / "csp" / "escape", AutheEnabled=32)
        yield running


def own_pids(stoa: Stoa) -> dict[str, int]:
    """Return the process ids of what is Stoa's own, nginx apart, once all of them run."""
    found: dict[str, int] = {}

    def run() -> bool:
        found.update(own_pids_now(stoa))
        return {*OWN, *BELOW} <= found.keys()

    stoa.eventually("/door/?do=read&with=.", headers=ADMIN)  # What checks passwords is started for the first one.
    wait_for(run, 20, lambda: f"{found}{stoa.log('messages')}")
    return found


def own_pids_now(stoa: Stoa) -> dict[str, int]:
    found = {name.partition(":")[0]: pid for name, pid in stoa.children().items()}
    for name, above in (("portal’s worker", "portal"), ("gate’s worker", "gate"), ("passwords", "gate’s worker")):
        for pid in children(found[above]) if above in found else ():
            found[name] = pid
    return found


def children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(word) for thread in threads for word in (thread / "children").read_text().split()]


def keeps_to_itself(pid: int) -> bool:
    """Say whether what /proc shows of a process is root's, though the process is not (proc(5))."""
    return os.stat(f"/proc/{pid}").st_uid != 0 and os.stat(f"/proc/{pid}/environ").st_uid == 0


@pytest.mark.parametrize("name", OWN + BELOW)
def test_an_application_without_walls_looks_into_no_process_of_stoas(unwalled: Stoa, name: str) -> None:
    pid = own_pids(unwalled)[name]

    assert keeps_to_itself(pid)
    for file in ("environ", "mem", "maps", "fd", "cwd/.", "root/etc/passwd"):
        assert "PermissionError" in met(unwalled, "read", f"/proc/{pid}/{file}"), file
    assert met(unwalled, "trace", pid)


def test_what_is_hosted_may_be_looked_at_by_its_owner(unwalled: Stoa) -> None:
    (pid,) = unwalled.status()["/neighbour"]["pids"]

    assert not keeps_to_itself(pid)
    assert met(unwalled, "read", f"/proc/{pid}/environ") == ""


def test_an_installer_keeps_to_itself_and_installs(unwalled: Stoa) -> None:
    wheel = make_wheel(unwalled.directory)
    wheel.chmod(0o644)
    needs = {"app.py": "import browser_tiny\n" + ESCAPE, "requirements.txt": f"browser-tiny @ {wheel.as_uri()}\n"}
    directory = unwalled.write("needs", needs)
    shutil.chown(directory, account())
    unwalled.create("/needs", directory)
    unwalled.wait_for_state("/needs", "failed")
    installing = threading.Thread(target=unwalled.command, args=("webapp", "install", "/needs"))

    with (unwalled.home / "namespaces" / "USER" / "install" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # The installer waits for it.
        installing.start()
        wait_for(lambda: "install:USER" in unwalled.children(), 20, lambda: unwalled.log("messages"))
        wait_for(lambda: keeps_to_itself(unwalled.pid_of("install:USER")), 20, "it keeps to itself")
    installing.join(within(60))

    unwalled.eventually("/needs/?do=read&with=.")


def account() -> str:
    return ACCOUNT if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


@contextmanager
def all_anew(stoa: Stoa) -> Iterator[None]:
    """Have everybody replaced meanwhile, and the applications answer then."""
    left = everybody(stoa)
    assert stoa.process and len(left) > len(OWN)
    yield
    stoa.eventually("/escape/?do=read&with=.")
    wait_for(lambda: have_gone(left), 60, lambda: words_of(left))


def test_after_the_keeper_is_killed_the_next_start_takes_over(unwalled: Stoa) -> None:
    with all_anew(unwalled):
        unwalled.kill()
        unwalled.start()


def test_another_one_replaces_the_one_that_runs(unwalled: Stoa) -> None:
    with all_anew(unwalled):
        unwalled.replace()


def test_where_the_log_writer_is_killed_too_all_that_is_left_is_found(unwalled: Stoa) -> None:
    with all_anew(unwalled):
        log_writer = unwalled.pid_of("log")
        unwalled.kill()
        os.kill(log_writer, signal.SIGKILL)
        left = everybody(unwalled)
        unwalled.start()
        assert any("that an earlier Stoa left behind" in line for line in unwalled.output)
        assert have_gone(left)


def test_nothing_is_left_when_it_is_stopped(unwalled: Stoa) -> None:
    with all_anew(unwalled):
        assert unwalled.stop() == 0
        assert processes.marked(unwalled.run_dir) == []
        unwalled.start()


def test_where_they_would_not_see_each_other_any_more_they_do_not_keep_to_themselves() -> None:
    if missing := no_account():
        pytest.skip(missing)
    if subprocess.run(["unshare", "-m", *StoaHidden.mount], capture_output=True, timeout=within(30)).returncode:
        pytest.skip("this machine does not permit another /proc")
    with StoaHidden(python_of_account()) as stoa:
        assert stoa.get("/").status == 404
        found = processes.marked(stoa.run_dir)
        assert len(found) > len(OWN) and not any(map(keeps_to_itself, found))
