"""What every test stands on. Shared: only add."""

from __future__ import annotations

import os
import shutil
import tempfile


def make_home() -> str:
    """Make a home of its own for this run, before Django's settings are read."""
    # Short, because the paths of Unix sockets below it may have no more than 107 bytes.
    return tempfile.mkdtemp(prefix="stoa-")


HOME = make_home()
os.environ["STOA_HOME"] = HOME


def pytest_unconfigure() -> None:
    """Remove the home."""
    shutil.rmtree(HOME, ignore_errors=True)
