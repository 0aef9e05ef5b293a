"""Try whether the machine permits walls within walls: a nest with a zygote in it that forks a worker (``nest``).

Runs where all walls are tried (``walls.probe``).
"""

from __future__ import annotations

import os
import socket
from typing import NoReturn

from . import nestfirst, nestwalls, ownpids, ownroot, owntree, seccomp_agent, walls


def begin(wished: walls.Confinement, link: int, writing: int) -> None:
    """Begin a nest whose worker says that it has its walls; whoever fails says why. Raises OSError."""
    ownpids.adopt()
    nestfirst.begin(lambda: walls.say_how(writing, lambda: _be_first(wished, link, writing)))


def _be_first(wished: walls.Confinement, link: int, writing: int) -> None:
    """Build the root that the worker gets, and bury all that there is."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        theirs.close()
        walls.say_how(writing, lambda: owntree.hand_over(ours, ownroot.in_order(_read(wished), ()), hide=wished.hide))
    ours.close()
    if os.fork() == 0:
        walls.say_how(writing, lambda: _be_zygote(wished, link, theirs.detach(), writing))
    theirs.close()
    os.close(link)
    os.close(writing)
    _bury_all()


def _read(wished: walls.Confinement) -> tuple[str, ...]:
    return (*wished.read, *ownroot.of_python())


def _be_zygote(wished: walls.Confinement, link: int, root: int, writing: int) -> None:
    nestwalls.raise_around(wished, lambda listener: seccomp_agent.hand_over(link, listener))
    ownpids.adopt()
    if os.fork() == 0:
        walls.say_how(writing, lambda: _be_worker(wished, root, writing))
    os.close(root)
    os.close(writing)
    _bury_all()


def _be_worker(wished: walls.Confinement, root: int, writing: int) -> None:
    walls.raise_walls(wished, root=root)
    if wished.means.listens:
        seccomp_agent.try_out()
    os.write(writing, walls.HOLDS)


def _bury_all() -> NoReturn:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            os._exit(0)
