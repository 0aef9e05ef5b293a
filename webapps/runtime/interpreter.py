"""Why an interpreter that a namespace names does not run, as far as its file tells."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path


def problem(python: str, user: str = "") -> str:
    """Say what keeps an account ("": our own) from executing a file, "" where its mode does not tell."""
    path = Path(python)
    if not path.exists():
        return f"there is no file {python}"
    if not path.is_file():
        return f"{python} is no program"
    who = f"the account {user}" if user else "Stoa's account"
    for folder in _folders(path):
        if not _may_execute(folder, user):
            return f"{who} may not enter {folder}, where {python} is"
    if not _may_execute(path, user):
        return f"{who} may not execute {python} (its mode is {stat.S_IMODE(path.stat().st_mode):04o})"
    return ""


def _folders(path: Path) -> Iterator[Path]:
    """Yield the directories on the way to a file and to what it is a link to, from the root on."""
    for end in dict.fromkeys((Path(os.path.abspath(path)), path.resolve())):
        yield from reversed(end.parents)


def _may_execute(path: Path, user: str) -> bool:
    """Look at the mode for another account; ask the kernel for our own."""
    if not user:
        return os.access(path, os.X_OK)
    try:
        account, found = pwd.getpwnam(user), path.stat()
    except (KeyError, OSError):
        return True  # Something else is wrong.
    if account.pw_uid == found.st_uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid in os.getgrouplist(user, account.pw_gid):
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
