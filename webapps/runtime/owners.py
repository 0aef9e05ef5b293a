"""Whose the processes and files of a namespace are: the account that it names, STOA_USER, or our own."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from .spec import AppSpec


class Owners:
    """Name accounts. Only a Stoa that root has started can choose; all is our own account's otherwise."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.root = os.geteuid() == 0  # Asked for each application each second.

    def named(self, spec: AppSpec) -> str:
        """Return the account that a namespace names for itself, "" where it is the one that all run as."""
        return spec.os_user if self.root and spec.os_user != self.user else ""

    def of(self, spec: AppSpec) -> pwd.struct_passwd | None:
        """Return the account that an application runs as, None for our own. Raises KeyError where there is none."""
        user = self.named(spec) or self.user
        return pwd.getpwnam(user) if user else None

    def of_directory(self, directory: Path) -> str:
        """Return the account that a namespace's directory belongs to, "" where it is the one that all run as."""
        if os.geteuid() or not directory.is_dir():
            return ""
        uid = directory.stat().st_uid
        own = pwd.getpwnam(self.user).pw_uid if self.user else 0
        try:
            return "" if uid in (0, own) else pwd.getpwuid(uid).pw_name
        except KeyError:
            return ""  # The account has gone: what it left is not installed into.


def own(directory: Path, account: pwd.struct_passwd | None) -> None:
    """Make a directory, and have it and all in it belong to an account, where we are root."""
    directory.mkdir(parents=True, exist_ok=True)
    uid, gid = (account.pw_uid, account.pw_gid) if account else (os.geteuid(), os.getegid())
    if os.geteuid() == 0 and directory.stat().st_uid != uid:
        _give(directory, uid, gid)


def _give(directory: Path, uid: int, gid: int) -> None:
    """Change the owner of all below a directory, and of itself last: it is tried again when this is cut off."""
    for _path, directories, files, fd in os.fwalk(directory, follow_symlinks=False):
        for name in (*directories, *files):
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
            # A second name of a file that lies elsewhere gives nobody that file.
            if found.st_nlink == 1 or stat.S_ISDIR(found.st_mode):
                os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
    os.chown(directory, uid, gid, follow_symlinks=False)
