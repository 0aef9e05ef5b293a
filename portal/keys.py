"""Stoa's own secret key: from the environment, or made once and kept in STOA_HOME."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

FILE = "secret_key"


def secret_key(home: Path) -> str:
    """Return STOA_SECRET_KEY, or the key of ``home``, made there with mode 0600 when it is absent.

    A home that cannot be written gives a key for this process alone: ``manage.py check`` says so.
    """
    if given := os.environ.get("STOA_SECRET_KEY"):
        return given
    path = home / FILE
    try:
        return _read(path) or _make(path)
    except OSError:
        return secrets.token_urlsafe(64)


def _make(path: Path) -> str:
    """Make the key; of two processes that try at once one writes and the other reads."""
    # Passed through by the account of STOA_USER on its way to what it owns, listed by nobody else.
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    made = secrets.token_urlsafe(64)
    draft = path.with_name(f"{FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(made)
        # A link appears whole or not at all, and never replaces the key that another process made.
        os.link(draft, path)
    except FileExistsError:
        return _read(path)
    finally:
        os.unlink(draft)
    return made


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
