"""A process that the application forks lets go of the worker's connections; what it forks keeps what is its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.patience import within

ROOT = Path(__file__).parents[2]
DAEMON = """
import os, socket, sys
from webapps.runtime import forked

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
forked.prepare([], listener, lambda: None)
child = os.fork()
if child == 0:
    gone = os.fstat(listener.fileno()).st_rdev != 0  # It is /dev/null.
    os.closerange(3, 1024)
    ours, theirs = socket.socketpair()
    grandchild = os.fork()
    if grandchild == 0:
        theirs.send(b"from the grandchild")
        os._exit(0)
    os.waitpid(grandchild, 0)
    ours.settimeout(5)
    print(gone, ours.recv(100).decode(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_daemon_that_closes_all_and_forks_again_keeps_its_own_sockets(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DAEMON, str(tmp_path / "s")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=within(30),
        check=False,
    )

    assert (done.stdout, done.stderr) == ("True from the grandchild\n", "")
