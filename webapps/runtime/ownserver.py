"""gunicorn for Stoa's own portal and gate: ``python -m webapps.runtime.ownserver FD WORDS…``, WORDS being gunicorn's.

FD is the listening socket that the keeper holds. It is handed over as systemd does (sd_listen_fds(3)): gunicorn then
leaves its path alone when it stops.
"""

from __future__ import annotations

import os
import sys

from . import nowait, seclusion

FIRST = 3


def main() -> None:
    """Keep to ourselves, wait for no log, take the socket, become gunicorn."""
    seclusion.seclude()
    nowait.become()
    os.dup2(int(sys.argv[1]), FIRST)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    sys.argv = ["gunicorn", *sys.argv[2:]]
    from gunicorn.app.wsgiapp import run

    run(prog="gunicorn")


if __name__ == "__main__":
    main()
