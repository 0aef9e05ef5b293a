"""Tell what the kernel refuses for now only, because it is busy or something is used up, from what it refuses for good.

Runs beside hosted code too, under any CPython from 3.10.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

BUSY = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EINTR)
#: What an account can use up by what it runs, and what the kernel says then (namespaces(7), mount(2), unix(7)).
USED_UP = {
    errno.ENOSPC: "the namespaces or mounts that its account may have are used up",
    errno.EUSERS: "the user namespaces that its account may have are used up",
    errno.ETOOMANYREFS: "the descriptors that its account may have under way between processes are used up",
}
LIMITS = Path("/proc/sys/user")


def is_momentary(error: BaseException, limits: Path = LIMITS) -> bool:
    """Say whether it can be otherwise in a moment."""
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC:
        return b"0" not in _namespaces(limits)  # None at all is how an administrator forbids them.
    return number in BUSY or number in USED_UP


def in_words(error: BaseException, limits: Path = LIMITS) -> str:
    """Say what is used up, if that is it, and what the kernel has answered."""
    known = USED_UP.get(getattr(error, "errno", None) or 0)
    return f"{known}: {error}" if known and is_momentary(error, limits) else str(error)


def _namespaces(limits: Path) -> Iterator[bytes]:
    """Return how many namespaces of each kind an account may have, as far as that can be read."""
    for kind in ("user", "mnt", "pid", "ipc"):
        try:
            yield (limits / f"max_{kind}_namespaces").read_bytes().strip()
        except OSError:
            continue
