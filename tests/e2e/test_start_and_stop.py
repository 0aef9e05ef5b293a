"""Starting, stopping, being killed: the next start works and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from tests.e2e.test_lifecycle import hello
from tests.patience import within
from tests.serving import Stoa, free_port
from tests.waiting import wait_for
from webapps.runtime import processes


def test_it_leaves_no_process_and_no_socket_when_it_is_stopped() -> None:
    with Stoa() as stoa:
        stoa.create("/one", stoa.write("one", hello()))
        stoa.eventually("/one/")

        assert stoa.stop() == 0

        assert processes.marked(stoa.run_dir) == []
        status = stoa.command("status", "--json", check=False)
        assert status.returncode == 3
        assert json.loads(status.stdout)["supervisor"] == {"state": "stopped", "pid": None, "since": None}


def test_it_stops_after_a_zygote_was_killed_whose_workers_live_on() -> None:
    """They are the keeper's children then: while it does not bury them, the first processes of theirs cannot end."""
    with Stoa() as stoa:
        stoa.create("/one", stoa.write("one", hello()))
        stoa.eventually("/one/")
        zygotes = [pid for name, pid in stoa.children().items() if name.startswith("zygote:")]
        for pid in zygotes:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not set(zygotes) & set(stoa.children().values()), 10)

        assert stoa.stop() == 0

        assert zygotes and processes.marked(stoa.run_dir) == []


def test_after_the_keeper_is_killed_the_next_start_takes_over_cleanly() -> None:
    with Stoa() as stoa:
        stoa.create("/one", stoa.write("one", hello()))
        stoa.eventually("/one/")
        stoa.kill()
        left = processes.marked(stoa.run_dir)
        # Nobody decides any more, and what is awake serves on.
        assert all(stoa.get("/one/").status == 200 for _ in range(50))

        stoa.start()

        assert stoa.eventually("/one/").text == "hello /one /"
        wait_for(lambda: not set(left) & set(processes.marked(stoa.run_dir)), 10, "the old processes are gone")


def test_what_is_saved_while_it_is_stopped_is_live_after_the_start() -> None:
    with Stoa() as stoa:
        stoa.stop()
        stoa.create("/later", stoa.write("later", hello()))

        stoa.start()

        stoa.eventually("/later/", text="hello")


def serve(stoa: Stoa, *words: str) -> subprocess.CompletedProcess[str]:
    return stoa.command("serve", *words, check=False)


def test_a_port_that_is_taken_is_one_line_with_the_remedy() -> None:
    stoa = Stoa()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve(stoa, "--port", str(port), "--portal-port", str(free_port()))
    stoa.__exit__()

    assert done.returncode == 1
    assert f"127.0.0.1:{port} cannot be used (Address already in use)" in done.stderr
    assert "--port" in done.stderr.splitlines()[-1]


def test_a_home_that_cannot_be_written_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    stoa = Stoa()
    stoa.home = blocked / "home"
    done = serve(stoa, "--port", str(free_port()), "--portal-port", str(free_port()))
    stoa.__exit__()

    assert done.returncode == 1
    assert "--home" in done.stderr and "Traceback" not in done.stderr


def test_an_nginx_that_is_not_there_is_one_line_with_the_remedy() -> None:
    stoa = Stoa(STOA_NGINX="/nowhere/nginx")
    done = serve(stoa, "--port", str(free_port()), "--portal-port", str(free_port()))
    left = processes.marked(stoa.run_dir)
    stoa.__exit__()

    assert done.returncode == 1
    assert "STOA_NGINX" in done.stderr and "Traceback" not in done.stderr
    assert left == []


def test_a_second_start_in_the_same_home_is_refused() -> None:
    with Stoa() as stoa:
        done = serve(stoa, "--port", str(free_port()), "--portal-port", str(free_port()))

        assert done.returncode == 1
        assert "is running already" in done.stderr
        assert stoa.process and stoa.process.poll() is None
        stoa.process.send_signal(signal.SIGTERM)
        assert stoa.process.wait(within(30)) == 0


def test_a_wrong_setting_is_one_line_with_the_remedy() -> None:
    stoa = Stoa(STOA_URL="shop.example.com")

    done = serve(stoa, "--port", str(free_port()), "--portal-port", str(free_port()))

    stoa.__exit__()
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if not line.startswith("Warning:")]
    assert len(lines) == 1, done.stderr
    assert "STOA_URL" in lines[0] and "for example https://apps.example.com." in lines[0]
    assert done.stdout == ""
