"""Each part of Stoa is killed without a warning: it is back at once, and what is hosted goes on."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.accounts import need
from tests.e2e.test_lifecycle import hello
from tests.serving import CHECKOUT, Stoa
from tests.waiting import wait_for
from webapps.runtime import processes


def master_alone(stoa: Stoa) -> list[int]:
    return [stoa.pid_of("front")]


def master_with_workers(stoa: Stoa) -> list[int]:
    return [pid for pid in processes.marked(stoa.run_dir) if os.getpgid(pid) == stoa.pid_of("front")]


@pytest.mark.parametrize("killed", [master_alone, master_with_workers])
def test_an_nginx_that_is_killed_is_back_within_two_seconds(stoa: Stoa, killed: Callable[[Stoa], list[int]]) -> None:
    name = f"/killed/{killed.__name__}"
    stoa.create(name, stoa.write(name[1:], hello()))
    stoa.eventually(f"{name}/")
    front, pids = stoa.pid_of("front"), killed(stoa)

    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    wait_for(lambda: _front(stoa) not in (0, front), 2, lambda: stoa.log("messages"))
    assert stoa.get(f"{name}/", timeout=2).text.startswith("hello")
    # A change is confirmed by nginx's own socket: it could be bound again.
    stoa.create(f"{name}/more", stoa.write(f"{name[1:]}-more", hello("more")))
    assert stoa.eventually(f"{name}/more/", deadline=5).text.startswith("more")


def _front(stoa: Stoa) -> int:
    try:
        return stoa.pid_of("front")
    except KeyError:
        return 0


@pytest.mark.parametrize("part", ["portal", "log"])
def test_a_part_that_is_killed_is_back_and_no_request_notices(stoa: Stoa, part: str) -> None:
    name = f"/killed/{part}"
    stoa.create(name, stoa.write(name[1:], hello()))
    stoa.eventually(f"{name}/")
    before = stoa.status()[name]["pids"]

    os.kill(stoa.pid_of(part), signal.SIGKILL)

    assert all(stoa.get(f"{name}/").status == 200 for _ in range(50))
    wait_for(lambda: stoa.ask("GET", "/portal/login", portal=True).status == 200, 10, lambda: stoa.log("messages"))
    assert stoa.status()[name]["pids"] == before


def test_the_workers_of_a_zygote_that_is_killed_serve_on(stoa: Stoa) -> None:
    stoa.create("/killed/zygote", stoa.write("killed/zygote", hello()))
    stoa.eventually("/killed/zygote/")
    before = stoa.status()["/killed/zygote"]["pids"]

    for name, pid in _zygotes(stoa).items():
        assert name.startswith("zygote:")
        os.kill(pid, signal.SIGKILL)

    assert all(stoa.get("/killed/zygote/").status == 200 for _ in range(50))
    assert stoa.status()["/killed/zygote"]["pids"] == before
    stoa.command("webapp", "reload", "/killed/zygote")
    assert stoa.status()["/killed/zygote"]["generation"] == 2


@pytest.mark.parametrize("depth", [0, 1])
def test_workers_serve_on_without_what_stands_between_them_and_the_supervisor(stoa: Stoa, depth: int) -> None:
    need(stoa, "Packages of an environment")
    name = f"/killed/nest{depth}"
    stoa.create(name, stoa.write(name[1:], hello()))
    stoa.eventually(f"{name}/")
    before, relays = stoa.status()[name]["pids"], _zygotes(stoa).values()
    ends = [[relay, processes.below(processes.below(relay)[0])[0]][depth] for relay in relays]  # The relay, the zygote.

    for pid in ends:
        os.kill(pid, signal.SIGKILL)

    wait_for(lambda: not any(map(processes.started_at, relays)), 10)
    assert all(stoa.get(f"{name}/").status == 200 for _ in range(50))
    assert stoa.status()[name]["pids"] == before
    stoa.command("webapp", "reload", name)
    assert stoa.status()[name]["generation"] == 2
    wait_for(lambda: not any(map(processes.started_at, before)), 10)


def test_a_supervisor_of_newer_code_has_zygotes_of_its_own(tmp_path: Path) -> None:
    stoa = Stoa()
    stoa.checkout = tmp_path / "stoa"
    left_out = shutil.ignore_patterns(".*", "bench", "docs", "tests", "var", "__pycache__")
    shutil.copytree(CHECKOUT, stoa.checkout, ignore=left_out)
    with stoa:
        stoa.create("/app", stoa.write("app", hello()))
        stoa.eventually("/app/")
        before, elders, supervisor = stoa.status()["/app"]["pids"], _zygotes(stoa), stoa.pid_of("supervisor")
        with (stoa.checkout / "webapps/runtime/wire.py").open("a") as source:
            source.write("# Newer.\n")

        os.kill(supervisor, signal.SIGKILL)

        wait_for(lambda: stoa.fact("/app") and stoa.children().get("supervisor", supervisor) != supervisor, 10)
        assert all(stoa.get("/app/").status == 200 for _ in range(50))
        assert stoa.status()["/app"]["pids"] == before
        stoa.command("webapp", "reload", "/app")
        assert stoa.status()["/app"]["generation"] == 2
        assert elders and not elders.keys() & _zygotes(stoa).keys()
        wait_for(lambda: not any(map(processes.started_at, elders.values())), 10)


def _zygotes(stoa: Stoa) -> dict[str, int]:
    return {name: pid for name, pid in stoa.children().items() if name.startswith("zygote:")}


def test_a_supervisor_whose_socket_was_removed_answers_again(stoa: Stoa) -> None:
    (stoa.run_dir / "control.sock").unlink()

    wait_for(stoa.live, 10, lambda: stoa.log("messages"))
    assert "control.sock had gone" in stoa.logged("messages")


def test_a_supervisor_that_is_stopped_is_not_said_to_be_away(stoa: Stoa) -> None:
    pid = stoa.pid_of("supervisor")
    os.kill(pid, signal.SIGSTOP)
    try:
        done = stoa.command("status", check=False)
        page = stoa.get("/killed/portal/")
    finally:
        os.kill(pid, signal.SIGCONT)

    assert done.returncode == 3 and "its supervisor does not answer" in done.stdout
    assert "not running" not in done.stdout
    assert page.status in (200, 404)
