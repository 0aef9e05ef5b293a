"""What is used up is no answer for good, and nobody is told to go without walls because of it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from webapps.runtime import momentary, walls

FULL = OSError(errno.ENOSPC, "unshare: No space left on device")


@pytest.fixture
def limits(tmp_path: Path) -> Path:
    for kind in ("user", "mnt", "pid"):
        (tmp_path / f"max_{kind}_namespaces").write_text("63432\n")
    return tmp_path


@pytest.mark.parametrize("number", [errno.ETOOMANYREFS, errno.EUSERS, errno.EAGAIN])
def test_what_is_used_up_can_be_otherwise_in_a_moment(number: int) -> None:
    assert momentary.is_momentary(OSError(number, ""))
    assert not momentary.is_momentary(PermissionError(errno.EPERM, ""))
    assert not momentary.is_momentary(ValueError())


def test_namespaces_are_used_up_unless_the_administrator_permits_none(limits: Path) -> None:
    assert momentary.is_momentary(FULL, limits)
    assert momentary.in_words(FULL, limits).startswith("the namespaces or mounts that its account may have are used up")

    (limits / "max_user_namespaces").write_text("0\n")
    assert not momentary.is_momentary(FULL, limits)
    assert momentary.in_words(FULL, limits) == str(FULL)


def test_walls_that_could_not_be_put_up_for_now_are_no_reason_to_go_without() -> None:
    refused = walls._failed(PermissionError(errno.EPERM, "unshare"))
    later = walls._failed(OSError(errno.ETOOMANYREFS, "sendmsg"))

    assert "STOA_WALLS=0" in str(refused)
    assert "STOA_WALLS" not in str(later) and "are used up" in str(later)
