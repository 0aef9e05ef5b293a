"""Each way out of a hosted application is tried from inside, as the account that starts the tests and as nobody."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.accounts import ACCOUNT, OLDER, StoaOfTwo, give, need, stoa_for
from tests.refusing import REFUSALS
from tests.serving import CHECKOUT, Stoa

ESCAPE = (CHECKOUT / "tests" / "fixtureapps" / "escape" / "app.py").read_text()
LIMITS = {"memory": 400 << 20, "open_files": 200, "processes": 60, "temporary": 20 << 20}


@pytest.fixture(scope="module", params=["as it is started", "for another account", "by another account", OLDER])
def walled(request: pytest.FixtureRequest) -> Iterator[Stoa]:
    with stoa_for(request.param) as running:
        running.command(
            "shell",
            "-c",
            "from webapps.models import *; n = Namespace.objects.get(name='USER'); "
            f"n.limits = {LIMITS!r}; n.save(); Namespace.objects.create(name='OTHER', interpreter=n.interpreter)",
        )
        for name in ("escape", "neighbour"):
            host(running, name)
        yield running


def host(stoa: Stoa, name: str) -> None:
    """Host the application that tries, and wait for it."""
    directory = stoa.write(name, {"app.py": ESCAPE})
    if isinstance(stoa, StoaOfTwo):
        give(directory)
    stoa.create(f"/{name}", directory)
    stoa.eventually(f"/{name}/?do=read&with=.")


def met(stoa: Stoa, do: str, *words: object) -> str:
    """Return what an attempt met, "" where it succeeded."""
    query = urlencode([("do", do), *(("with", str(word)) for word in words)])
    answer = stoa.get(f"/escape/?{query}")
    assert answer.status == 200, answer.text
    return str(json.loads(answer.text))


def unmet(stoa: Stoa) -> object:
    """Return what an ordinary application needs and does not have."""
    answer = stoa.get("/escape/", timeout=60)
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def socket_of(stoa: Stoa, label: str) -> str:
    number = stoa.command("shell", "-c", f"from webapps.models import *; print(WebApp.objects.get(name='{label}').pk)")
    return str(stoa.run_dir / "apps" / f"{number.stdout.split()[-1]}.sock")


def test_an_ordinary_application_runs_unchanged(walled: Stoa) -> None:
    assert unmet(walled) == {}


@pytest.mark.parametrize("name", ["secret_key", "db.sqlite3", "log", "log/WSGI.log", "run", "csp/neighbour/app.py"])
def test_it_reads_nothing_of_stoas_or_of_another_application(walled: Stoa, name: str) -> None:
    need(walled, "Files")
    assert (walled.home / name).exists()
    assert met(walled, "read", walled.home / name)


def test_it_does_not_write_outside_its_own(walled: Stoa) -> None:
    need(walled, "Files")
    for path in ("/etc/stoa-was-here", "/usr/stoa-was-here", walled.home / "csp" / "neighbour" / "x", "/root/x"):
        assert met(walled, "write", path)


def test_it_does_not_write_into_its_environment(walled: Stoa) -> None:
    need(walled, "Environment read-only")
    for name in ("envs", "requirements", "install"):
        assert met(walled, "write", walled.home / "namespaces" / "USER" / name / "x")


@pytest.mark.parametrize("name", ["keeper.sock", "control.sock"])
def test_it_does_not_speak_to_stoa(walled: Stoa, name: str) -> None:
    need(walled, "Stoa’s sockets")
    assert met(walled, "connect", walled.run_dir / name, "packets")


def test_it_does_not_reach_another_applications_socket(walled: Stoa) -> None:
    need(walled, "Sockets of other applications")
    assert met(walled, "connect", socket_of(walled, "/neighbour"))


@pytest.mark.parametrize("name", ["keeper", "supervisor", "portal", "log"])
def test_it_does_not_look_into_stoas_processes(walled: Stoa, name: str) -> None:
    need(walled, "Memory and environment of other processes")
    pid = walled.children()[name]
    assert met(walled, "read", f"/proc/{pid}/environ")
    assert met(walled, "read", f"/proc/{pid}/root/etc/passwd")
    assert met(walled, "trace", pid)


def test_it_signals_nobody_else(walled: Stoa) -> None:
    need(walled, "Signals to other processes")
    others = [*walled.children().values(), *walled.status()["/neighbour"]["pids"]]
    for pid in others:
        assert met(walled, "kill", pid) or pid in numbers_of_its_own(walled)


def numbers_of_its_own(stoa: Stoa) -> set[int]:
    """Return the numbers that processes have in the worker's PID namespace; another's may be one of them by chance."""
    inside, found = os.readlink(f"/proc/{stoa.fact('/escape')['pids'][0]}/ns/pid"), set[int]()
    if inside == os.readlink("/proc/self/ns/pid"):
        return found
    for status in Path("/proc").glob("[0-9]*/task/[0-9]*/status"):
        with suppress(OSError):
            if os.readlink(status.with_name("ns") / "pid") == inside:
                found |= {int(line.split()[-1]) for line in status.read_text().splitlines() if line.startswith("NSpid")}
    return found


def test_a_temporary_directory_that_fills_up_is_its_own(walled: Stoa) -> None:
    need(walled, "Temporary directory of its own")
    assert "No space left" in met(walled, "fill")
    assert walled.get("/neighbour/?do=read&with=.").text == '""'


def test_forks_come_to_an_end(walled: Stoa) -> None:
    need(walled, "Number of processes")
    assert "BlockingIOError" in met(walled, "fork")
    assert walled.get("/neighbour/?do=read&with=.").text == '""'


def test_open_files_come_to_an_end(walled: Stoa) -> None:
    assert "Too many open files" in met(walled, "open_files")


def test_memory_comes_to_an_end(walled: Stoa) -> None:
    assert "MemoryError" in met(walled, "memory")


def test_it_does_not_undo_its_walls(walled: Stoa) -> None:
    need(walled, "Files")
    assert met(walled, "mount")


# Which walls hold, and by what, on machines that have less than this one.
LESS = [
    ("as it is started", "unshare", {"Files": True, "Limits and priorities of other processes": False}),
    ("as it is started", "landlock", {"Files": True, "Signals to other processes": True}),
    ("as it is started", "unshare,landlock", {"Files": False, "Stoa’s sockets": True}),
    ("for another account", "unshare", {"Files": True, "Number of processes": False}),
    ("for another account", "landlock", {"Files": True, "Memory and environment of other processes": True}),
    ("for another account", "unshare,landlock", {"Files": False, "No new privileges": True}),
]


@pytest.mark.parametrize(("whom", "refused", "expected"), LESS, ids=[f"{whom}, no {no}" for whom, no, _walls in LESS])
def test_a_wall_that_the_machine_refuses_is_off_by_itself(whom: str, refused: str, expected: dict[str, bool]) -> None:
    if not REFUSALS[refused.partition(",")[0]][0]:
        pytest.skip("the number of this machine's call is not known")
    stoa = stoa_for(whom, refused)
    stoa.environment["STOA_WALLS"] = "1"
    with stoa:
        host(stoa, "escape")
        walls = {line["name"]: line for line in stoa.live()["walls"]}

        assert {name: walls[name]["holds"] for name in expected} == expected, walls
        assert unmet(stoa) == {}
        (stoa.home / "csp" / "private.txt").write_text("x")
        assert bool(met(stoa, "read", stoa.home / "csp" / "private.txt")) is expected["Files"]
        if walls["Stoa’s sockets"]["holds"]:
            assert met(stoa, "connect", stoa.run_dir / "control.sock", "packets")


@pytest.mark.parametrize("refused", ["unshare", "landlock"])
def test_where_an_account_is_named_nothing_starts_without_a_wall_that_the_kernel_has(refused: str) -> None:
    with stoa_for("for another account", refused) as stoa:
        stoa.create("/escape", stoa.write("escape", {"app.py": ESCAPE}))
        row = stoa.wait_for_state("/escape", "failed")
        wall = {"unshare": "namespaces are refused", "landlock": "Landlock is refused"}[refused]

        assert row["reason"].startswith(f"walls that this kernel has do not hold: {wall}")
        assert "STOA_WALLS=1" in row["reason"]
        assert row["pids"] == []
        assert stoa.get("/escape/").status == 503
        said = f"No application of {ACCOUNT} starts: walls that this kernel has do not hold: {wall}"
        assert said in stoa.command("status", check=False).stdout
        assert said in stoa.logged("messages")
        assert any(said in line for line in stoa.output)


def test_walls_can_be_required_of_any_account() -> None:
    stoa = stoa_for("as it is started", "unshare")
    stoa.environment["STOA_WALLS"] = "required"
    with stoa:
        stoa.create("/escape", stoa.write("escape", {"app.py": ESCAPE}))
        assert "namespaces are refused" in stoa.wait_for_state("/escape", "failed")["reason"]


def test_an_unknown_wish_for_walls_ends_the_start_in_one_line() -> None:
    stoa = Stoa(STOA_WALLS="yes")
    try:
        done = stoa.command("serve", check=False)
        assert done.returncode == 1
        (line,) = [line for line in done.stderr.splitlines() if not line.startswith("Warning: ")]
        assert "STOA_WALLS is “yes”, which is none of 0, 1, required." in line
    finally:
        stoa.__exit__()


def test_walls_can_be_switched_off() -> None:
    with Stoa(STOA_WALLS="0") as stoa:
        stoa.create("/escape", stoa.write("escape", {"app.py": ESCAPE}))
        stoa.eventually("/escape/?do=read&with=.")
        assert [line["words"] for line in stoa.live()["walls"]] == ["STOA_WALLS=0 switches them off"]
        assert met(stoa, "read", stoa.home / "csp") == ""
        shutil.rmtree(stoa.home / "csp" / "escape")
