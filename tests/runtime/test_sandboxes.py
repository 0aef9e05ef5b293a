"""A command in a sandbox ends with all that it started; walls are tried in tests/escape/test_installer.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import within
from tests.waiting import wait_for
from webapps.runtime import processes, sandbox
from webapps.runtime.sandboxes import CommandFailed, Sandbox, remove

CHECKOUT = Path(__file__).parents[2]
PYTHON = [sys.executable, "-I", "-S", "-c"]
LEAVE = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        sys.stdout.close()
        for number in (0, 1, 2):
            os.dup2(os.open("/dev/null", os.O_RDWR), number)
        open(sys.argv[1], "w").write(str(os.getpid()))
        os.rename(sys.argv[1], sys.argv[2])
        import time
        time.sleep(1000)
    os._exit(0)
import time
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
"""


def test_each_line_is_said_as_it_comes() -> None:
    said = list[str]()

    Sandbox(directory="/usr").run([*PYTHON, "import os; print(os.getcwd()); print('\\xe9')"], said.append)

    assert said == ["/usr", "é"]


def test_a_failure_says_the_last_line() -> None:
    with pytest.raises(CommandFailed, match="ended with status 1: why it failed"):
        Sandbox().run([*PYTHON, "raise SystemExit('why it failed')"], lambda _line: None)


def test_a_command_that_is_not_there_says_so() -> None:
    with pytest.raises(CommandFailed, match="No such file"):
        Sandbox().run(["/usr/bin/stoa-has-no-such-program"], lambda _line: None)


def test_it_is_told_what_it_is_given_and_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOA_SECRET_KEY", "a secret")
    said = list[str]()

    Sandbox(environment={"A": "b"}).run([*PYTHON, "import os; print(*os.environ.items())"], said.append)

    assert "('A', 'b')" in said[0] and "STOA" not in said[0] and "PYTHONPATH" not in said[0]


def test_one_that_takes_too_long_is_ended() -> None:
    with pytest.raises(CommandFailed, match=r"took longer than 0\.5 seconds"):
        Sandbox(seconds=0.5).run([*PYTHON, "import time; time.sleep(1000)"], lambda _line: None)


@pytest.mark.parametrize("what", ["print('x' * 100)", "sys.stdout.write('x' * 100)"])
def test_one_that_prints_too_much_is_ended(what: str) -> None:
    said = list[str]()

    with pytest.raises(CommandFailed, match="printed more than 100 KB"):
        Sandbox(output=100 << 10).run([*PYTHON, f"import sys\nwhile True: {what}"], said.append)

    assert sum(map(len, said)) <= 100 << 10


def test_what_it_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    names = [str(tmp_path / "fresh"), str(tmp_path / "pid")]

    Sandbox().run([*PYTHON, LEAVE, *names], lambda _line: None)

    assert processes.started_at(int(Path(names[1]).read_text())) is None


def test_it_ends_with_who_started_it(tmp_path: Path) -> None:
    names = [str(tmp_path / "fresh"), str(tmp_path / "pid")]
    source = LEAVE + "time.sleep(1000)"
    argv = [sys.executable, "-m", sandbox.__name__, "1000", "/", *PYTHON, source, *names]
    caller = subprocess.Popen(argv, stdin=subprocess.PIPE, env={"PYTHONPATH": str(CHECKOUT)})
    wait_for(lambda: os.path.exists(names[1]), 20)

    assert caller.stdin
    caller.stdin.close()
    caller.wait(within(20))

    assert processes.started_at(int(Path(names[1]).read_text())) is None


def test_a_tree_of_any_depth_is_removed(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)

    remove(tmp_path / "d")

    assert not (tmp_path / "d").exists()
