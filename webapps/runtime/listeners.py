"""The sockets that applications listen at: bound by the supervisor, held by the keeper, known by the front."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

from . import wire
from .application import Application
from .keeperlink import KeeperLink

BACKLOG = 2048


class Listeners:
    """Bind and close one socket for each application."""

    def __init__(self, run_dir: Path, keeper: KeeperLink, owner: pwd.struct_passwd | None) -> None:
        self.directory = run_dir / "apps"
        self.keeper = keeper
        self.owner = owner

    def path(self, app_id: int) -> Path:
        """Return where an application's socket is."""
        return self.directory / f"{app_id}.sock"

    def bind(self, application: Application) -> None:
        """Make an application's socket, in place of one that was left there. Raises OSError."""
        path = self.path(application.id)
        listener = socket.socket(socket.AF_UNIX)
        wire.bind(listener, path)
        if self.owner:
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self.keeper.hold(f"socket:{application.id}", {"label": application.label}, [listener.fileno()])
        application.listener = listener

    def close(self, application: Application) -> None:
        """Close an application's socket, and have nobody find it any more."""
        if application.listener:
            application.listener.close()
            application.listener = None
        self.keeper.drop(f"socket:{application.id}")
        self.path(application.id).unlink(missing_ok=True)
