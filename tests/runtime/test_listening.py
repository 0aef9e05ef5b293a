"""A control socket whose file is removed is there again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from webapps.runtime import control, wire
from webapps.runtime.listening import Listening


def test_it_is_bound_anew_when_its_file_has_gone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    listening = Listening(path)
    first = listening.sock
    assert listening.mended() is None

    path.unlink()

    assert listening.mended() is first and listening.mended() is None
    wire.connect(path).close()
    for sock in (first, listening.sock):
        sock.close()


def test_that_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    ours, theirs = Listening(path), Listening(path)

    assert ours.mended() is None
    wire.connect(path).close()
    theirs.sock.accept()[0].close()
    for one in (ours, theirs):
        one.sock.close()


def test_a_stoa_that_runs_is_known_by_its_lock(tmp_path: Path) -> None:
    assert not control.is_served(tmp_path)
    (tmp_path / "keeper.lock").write_text(str(os.getpid()))
    assert not control.is_served(tmp_path), sys.argv  # Another program has the number by now.
