"""The scripts' set-up, without a network: what is current is left alone, what fails says why."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.patience import within

ROOT = Path(__file__).parents[1]
PINNED = re.compile(r"^([\w.-]+)(?:\[\w+\])?==([\w.]+)", re.MULTILINE)


def pins(name: str) -> set[tuple[str, str]]:
    """Return the packages that a requirements or lock file pins, by their normal names."""
    found = PINNED.findall((ROOT / name).read_text())
    return {(re.sub(r"[-_.]+", "-", package).lower(), version) for package, version in found}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a space in its path, whose manage.py prints what it was told."""
    made = tmp_path / "a checkout"
    shutil.copytree(ROOT / "script", made / "script")
    for path in ROOT.glob("requirements*"):
        shutil.copy(path, made)
    (made / "manage.py").write_text("import sys; print(sys.argv[1:])\n")
    return made


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory for PATH with the few commands that the scripts use, and no Python."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sh", "dirname", "cksum", "cat", "rm"):
        found = shutil.which(name)
        assert found
        (directory / name).symlink_to(found)
    return directory


def make_current(checkout: Path, stamp: str, lock: str) -> None:
    """Give the checkout a .venv that is what the lock file asks for."""
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(sys.executable)
    wanted = f'root="{checkout}"; me=test; . "$root/script/_setup"; wanted_stamp {lock}'
    text = subprocess.run(["sh", "-c", wanted], capture_output=True, check=True).stdout
    (checkout / ".venv" / stamp).write_bytes(text)


def serve(
    checkout: Path, *arguments: str, path: Path | None = None, cwd: str = "/"
) -> subprocess.CompletedProcess[str]:
    command = [str(checkout / "script/serve"), *arguments]
    environment = {"PATH": str(path or "/usr/bin:/bin")}
    return subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=within(60), check=False
    )


@pytest.mark.parametrize(
    ("stamp", "lock"),
    [(".stoa-stamp-serve", "requirements.lock"), (".stoa-stamp-dev", "requirements-dev.lock")],
)
def test_a_second_start_goes_straight_to_manage_py(checkout: Path, stamp: str, lock: str) -> None:
    make_current(checkout, stamp, lock)
    done = serve(checkout, "--port", "8001", "--home", "a b")
    assert (done.stdout, done.stderr) == ("['serve', '--port', '8001', '--home', 'a b']\n", "")


def test_without_a_python_it_says_so_in_one_line(checkout: Path, tools: Path) -> None:
    done = serve(checkout, path=tools)
    assert done.returncode == 1
    assert done.stderr.startswith("script/serve: no Python 3.11 or newer was found")
    assert done.stderr.count("\n") == 1


def test_a_python_that_is_too_old_counts_as_none(checkout: Path, tools: Path) -> None:
    put(tools / "python3", "exit 1")
    assert "no Python 3.11 or newer" in serve(checkout, path=tools).stderr


def test_without_ensurepip_it_names_the_package_to_install(checkout: Path, tools: Path) -> None:
    put(tools / "python3", 'case "$2" in *ensurepip*) exit 1;; esac; exit 0')
    done = serve(checkout, path=tools)
    assert done.returncode == 1
    assert "apt-get install python3-venv" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_an_install_that_fails_says_why_and_leaves_nothing_that_is_taken_for_whole(checkout: Path) -> None:
    lock = checkout / "requirements.lock"
    lock.write_text(f"./no-such-package.whl --hash=sha256:{'0' * 64}\n")
    tools = checkout.parent / "python"
    tools.mkdir()
    (tools / "python3.13").symlink_to(sys.executable)
    for _ in range(2):
        done = subprocess.run(
            [str(checkout / "script/serve")],
            env={"PATH": f"{tools}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=within(100),
            check=False,
        )
        assert done.returncode == 1
        assert "no-such-package" in done.stderr
        assert "the packages of requirements.lock could not be installed" in done.stderr
        assert "making .venv" in done.stderr, "a set-up that failed is begun anew"
        assert not list((checkout / ".venv").glob(".stoa-stamp-*"))


def put(path: Path, body: str) -> None:
    """Write a command that does what the shell's words say."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_the_lock_files_hold_every_pin() -> None:
    direct, development = pins("requirements.txt"), pins("requirements-dev.txt")
    assert len(direct) > 5
    assert direct <= pins("requirements.lock") <= pins("requirements-dev.lock")
    assert development <= pins("requirements-dev.lock")
    assert pins("requirements-fast.txt") == pins("requirements-fast.lock")


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-fast.lock"])
def test_every_locked_package_has_a_hash_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    packages = [line for line in text.splitlines() if not line.startswith((" ", "#"))]
    assert all(line.endswith("\\") for line in packages)
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_the_faster_parts_are_installed_by_their_hashes_for_every_platform() -> None:
    assert "--require-hashes -r" in next(
        line
        for line in (ROOT / "script/_setup").read_text().splitlines()
        if "requirements-fast.lock" in line and "pip" in line
    )
    uvloop = (ROOT / "requirements-fast.lock").read_text().partition("uvloop==")[2]
    assert uvloop.count("--hash=sha256:") > 20


@pytest.mark.slow
def test_a_faster_part_with_another_hash_is_left_out_and_said(checkout: Path) -> None:
    wheel = checkout / "part-1-py3-none-any.whl"
    wheel.write_bytes(b"not what was locked")
    (checkout / "requirements-fast.lock").write_text(f"./{wheel.name} --hash=sha256:{'0' * 64}\n")
    make_current(checkout, ".stoa-stamp-serve", "requirements.lock")
    words = f'root="{checkout}"; me=test; venv=$root/.venv; . "$root/script/_setup"; cd "$root"; install_fast'
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, timeout=within(60), check=False)

    assert "the parts of requirements-fast.lock did not install" in done.stderr
    assert "DO NOT MATCH THE HASHES" in (checkout / ".venv/fast.log").read_text()


def seconds(number: int) -> str:
    """Return a time to sleep that no other run of these tests uses, so that its process is known by it."""
    return f"{number}.{os.getpid()}"


def reap(script: str, limit: str = "60") -> tuple[int, Sequence[str]]:
    """Run shell words as ``.ci/run`` runs script/test; return the status and the printed lines."""
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci/reap.py"), "/bin/sh", "-c", script],
        env={"PATH": "/usr/bin:/bin", "STOA_CI_TIME_LIMIT": limit},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within(60),
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def test_ci_ends_with_the_closing_line_of_pytest() -> None:
    status, lines = reap("echo '=== 3 passed, 1 skipped in 0.12s ==='; echo more")
    assert (status, lines[-1]) == (0, "=== 3 passed, 1 skipped in 0.12s ===")


def test_ci_passes_the_status_on() -> None:
    assert reap("echo '1 failed in 1.00s'; exit 3")[0] == 3


@pytest.mark.slow
def test_ci_reports_and_kills_what_a_test_left_behind() -> None:
    status, lines = reap(f"setsid sleep {seconds(71)} >/dev/null 2>&1 & echo '1 passed in 0.10s'")
    assert status == 1
    assert [line for line in lines if "left behind and killed" in line and f"sleep {seconds(71)}" in line]
    assert lines[-1] == "1 passed in 0.10s"
    assert not running(f"sleep {seconds(71)}")


@pytest.mark.slow
def test_ci_stops_what_takes_too_long() -> None:
    began = time.monotonic()
    status, lines = reap(f"sleep {seconds(72)}; true", limit="0.5")
    assert (status, lines[0]) == (124, ".ci/run: stopped after 0 s")
    assert time.monotonic() - began < 72, "it did not wait for what it stopped"
    assert not running(f"sleep {seconds(72)}")


SUITE = """
import subprocess, time

def test_fails():
    assert False

def test_leaves_a_process():
    subprocess.Popen(["sleep", "73.25"], start_new_session=True, env={"PATH": "/usr/bin:/bin"})
    time.sleep(0.3)

def test_hangs():
    open("hangs", "w").close()
    time.sleep(74.25)
"""


@pytest.fixture
def suite(tmp_path: Path) -> str:
    """A small suite of its own; return the shell words that run it, with what ours notes of each test."""
    (tmp_path / "test_small.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text("")
    python = f"{shlex.quote(sys.executable)} -m pytest"
    return (
        f"cd {shlex.quote(str(tmp_path))} && export PYTHONPATH={shlex.quote(str(ROOT))} && "
        f"exec {python} -c /dev/null --rootdir . -p tests.telling -p no:randomly -p no:cacheprovider"
    )


@pytest.mark.slow
def test_ci_names_the_test_that_left_a_process_behind(suite: str) -> None:
    status, lines = reap(f"{suite} -k 'fails or leaves'")

    assert status == 1
    named = [line for line in lines if "left behind and killed" in line]
    assert [line.rpartition(" ")[2] for line in named if "sleep 73.25" in line] == [
        "test_small.py::test_leaves_a_process"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["", "-n 2 --dist loadfile"])
def test_ci_interrupts_pytest_so_that_it_says_what_has_failed(suite: str, processes: str) -> None:
    status, lines = reap(f"{suite} {processes}", limit=str(within(2.5)))

    assert status == 124
    assert "FAILED test_small.py::test_fails - assert False" in lines
    assert "1 failed, 1 passed" in lines[-1]


@pytest.mark.slow
def test_ci_says_what_had_failed_when_pytest_was_killed(suite: str, tmp_path: Path) -> None:
    hangs = shlex.quote(str(tmp_path / "hangs"))
    _, lines = reap(f"({suite}) & while [ ! -e {hangs} ]; do sleep 0.1; done; kill -9 $!")

    assert [line for line in lines if "FAILED" in line] == [".ci/run: FAILED test_small.py::test_fails"]
    assert [line for line in lines if "RUNNING" in line] == [".ci/run: RUNNING test_small.py::test_hangs"]
    assert lines[-1] == ".ci/run: pytest had no closing line"


def running(words: str) -> bool:
    """Say whether a process with this command line runs."""
    wanted = words.replace(" ", "\0").encode() + b"\0"
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == wanted:
                return True
        except OSError:
            continue  # it ended meanwhile
    return False
