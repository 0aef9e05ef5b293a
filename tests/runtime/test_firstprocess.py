"""The first process of a PID namespace: what the program is made of, and that it does as the copy of ourselves does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import within
from tests.serving import CHECKOUT
from webapps.runtime import firstprocess

SOURCES = CHECKOUT / "tests" / "data" / "first_process"
# The process that forks the worker is waited for, then what is left: all of them are its parent's.
BEGUN = """
import json, os, sys, time
from webapps.runtime import firstprocess, ownpids, syscalls

if sys.argv[1] == "copy":
    firstprocess.PROGRAMS.clear()
syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
reading, writing = os.pipe()
ending, end = os.pipe()
child = os.fork()
if child == 0:
    os.close(end)
    ownpids.enter()
    os.write(writing, f"{os.getpid()} {os.getppid()}".encode())
    os.read(ending, 1)
    if os.fork() == 0:
        time.sleep(600)
    os._exit(3)
os.waitpid(child, 0)
inside, parent = map(int, os.read(reading, 100).split())
first, worker = sorted(map(int, open(f"/proc/self/task/{os.getpid()}/children").read().split()))
held = lambda: [os.readlink(f"/proc/{first}/fd/{fd}") for fd in os.listdir(f"/proc/{first}/fd")]
while any(name.startswith("socket:") for name in held()):
    time.sleep(0.01)  # It has been sent its hold on the worker, and has not taken it yet.
status = dict(line.split(":", 1) for line in open(f"/proc/{first}/status"))
rollup = dict(line.split(":", 1) for line in open(f"/proc/{first}/smaps_rollup").readlines()[1:])
said = {
    "inside": inside, "parent": parent, "first": first,
    "capabilities": [status[name].strip() for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")],
    "fds": held(),
    "pss": int(rollup["Pss"].split()[0]), "cwd": os.readlink(f"/proc/{first}/cwd"),
}
os.write(end, b"x")
ends = {pid: os.waitstatus_to_exitcode(status) for pid, status in (os.wait() for _ in range(2))}
print(json.dumps({**said, "ends": [ends[worker], ends[first]]}))
"""


def begun(way: str) -> dict[str, object]:
    """Have a process begin a namespace; return what it saw."""
    done = subprocess.run(
        [sys.executable, "-c", BEGUN, way], capture_output=True, text=True, cwd=CHECKOUT, timeout=within(60)
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("way", ["program", "copy"])
def test_it_has_nothing_and_ends_with_the_worker(way: str) -> None:
    found = begun(way)

    assert found["capabilities"] == ["0" * 16] * 4
    assert (found["fds"], found["cwd"], found["parent"]) == (["anon_inode:[pidfd]"], "/", 0)
    assert found["ends"] == [3, 0]
    if os.path.exists(firstprocess.NEXT):
        assert found["inside"] == found["first"] + 1  # type: ignore[operator]


def test_the_program_is_small() -> None:
    if os.uname().machine not in firstprocess.PROGRAMS:
        pytest.skip("no program for this machine")
    assert begun("program")["pss"] < 100  # type: ignore[operator]


@pytest.mark.parametrize(("machine", "prefix"), [("x86_64", ""), ("aarch64", "aarch64-linux-gnu-")])
def test_a_program_is_what_its_source_says(machine: str, prefix: str, tmp_path: Path) -> None:
    assembler = shutil.which(f"{prefix}as") if prefix or os.uname().machine == machine else None
    if not assembler:
        pytest.skip(f"no assembler for {machine}")
    subprocess.run([assembler, SOURCES / f"{machine}.s", "-o", tmp_path / "o"], check=True)
    subprocess.run([f"{prefix}objcopy", "-O", "binary", "-j", ".text", tmp_path / "o", tmp_path / "code"], check=True)

    code = (tmp_path / "code").read_bytes()
    assert bytes.fromhex(firstprocess.PROGRAMS[machine][1]) == code
    assert firstprocess.program(machine)[firstprocess.HEADERS :] == code


def test_an_unknown_machine_has_no_program() -> None:
    assert firstprocess.program("pdp11") == b""
