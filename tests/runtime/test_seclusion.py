"""Keeping to oneself, where the others of Stoa's can still see that one is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.patience import within
from tests.serving import CHECKOUT
from webapps.runtime import seclusion

TELL = """
import os
from webapps.runtime import seclusion
seclusion.seclude()
pid = os.fork()
if pid == 0:
    inherited = seclusion.is_secluded()
    seclusion.disclose()
    os._exit(10 * inherited + seclusion.is_secluded())
print(seclusion.is_secluded(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_fork_keeps_to_itself_until_it_discloses() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TELL], cwd=CHECKOUT, capture_output=True, text=True, timeout=within(30)
    )

    hidden = seclusion._hidden(seclusion._mounts())
    assert done.stdout.split() == (["False", "0"] if hidden else ["True", "10"]), done.stderr


def test_we_are_as_we_were_started() -> None:
    assert not seclusion.is_secluded()


@pytest.mark.parametrize(
    ("mounts", "hidden"),
    [
        ("proc /proc proc rw,relatime 0 0\n", False),
        ("proc /proc proc rw,nosuid,hidepid=invisible 0 0\n", True),
        ("proc /proc proc rw,hidepid=2,gid=4 0 0\nproc /proc proc rw 0 0\n", False),
        ("proc /srv/proc proc rw,hidepid=1 0 0\n/dev/a / ext4 rw 0 0\n", False),
        ("", False),
    ],
)
def test_who_would_be_hidden_from_his_own_does_not_keep_to_himself(mounts: str, hidden: bool) -> None:
    assert seclusion._hidden(mounts) is hidden


def test_a_python_without_ctypes_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seclusion, "kernel", None)

    seclusion.seclude()
    seclusion.disclose()

    assert not seclusion.is_secluded()
